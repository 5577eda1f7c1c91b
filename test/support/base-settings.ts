import type { BaseSettings } from '../../src/render/base-view.ts';

/** Settings of the base configuration for tests that render and start nothing. */
export const baseSettings: BaseSettings = {
  bind: '127.0.0.1:80',
  bindHost: '127.0.0.1',
  reservedPorts: new Set([80]),
  runtimeSocket: '/s',
  routesMap: 'routes.map',
  ratesMap: 'rates.map',
  serverStates: 'server-states',
  successorSocket: '/s',
  peersFolder: '/run',
  hardStopAfterMs: 1000,
  maintenancePage: '/m',
  pauseScript: '/p',
  matchScript: '/m',
  forwardAuthScript: '/f',
  forwardAuthSocket: '/fs',
  pemFolder: '/pem',
  authMap: '/auth.map',
  authKeys: '/auth-keys',
  clientCertificates: '/client-certificates',
  errorPages: '/pages',
  zone: undefined,
};
