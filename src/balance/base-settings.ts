import { resolve } from 'node:path';
import { type Address, formatAddress } from '../model/address.ts';
import type { BaseSettings } from '../render/base-view.ts';
import type { BalanceSettings } from '../settings/balance.ts';
import type { BalancePaths } from './state/paths.ts';

/** The settings that every template sees. */
export function baseSettingsOf(settings: BalanceSettings, paths: BalancePaths): BaseSettings {
  return {
    bind: formatAddress(settings.http),
    bindHost: formatAddress({ ...settings.http, port: 0 }).replace(/:0$/, ''),
    runtimeSocket: paths.runtimeSocket,
    reservedPorts: reservedPorts(settings),
    routesMap: paths.routesMap,
    ratesMap: paths.ratesMap,
    serverStates: paths.serverStates,
    successorSocket: paths.successorSocket,
    peersFolder: paths.peersFolder,
    hardStopAfterMs: settings.hardStopAfterMs,
    maintenancePage: paths.maintenancePage,
    pauseScript: paths.pauseScript,
    matchScript: paths.matchScript,
    forwardAuthScript: paths.forwardAuthScript,
    forwardAuthSocket: paths.forwardAuthSocket,
    pemFolder: settings.serverTls === undefined ? paths.serverTls : resolve(settings.serverTls),
    authMap: paths.authMap,
    authKeys: paths.authKeys,
    clientCertificates: paths.clientCertificates,
    errorPages: paths.errorPageCopies,
    defaultErrorPages: settings.defaultErrorPages,
    zone: settings.zone,
    accessLog: settings.accessLog,
    normalizePaths: settings.normalizePaths,
    trustedProxies: settings.trustedProxies,
    proxyProtocol: settings.proxyProtocol,
    https: settings.https && {
      bind: formatAddress(settings.https.bind),
      list: paths.certificateList,
      http3: settings.https.http3,
    },
    acme: settings.acme !== undefined,
    metricsBind: settings.haproxyMetrics && formatAddress(settings.haproxyMetrics),
  };
}

/** The port for HTTP, and the other ports of pointsman and HAProxy on an address that may be the same. */
function reservedPorts({ http, https, admin, haproxyMetrics }: BalanceSettings): ReadonlySet<number> {
  const everywhere = ['0.0.0.0', '::'];
  const same = ({ host }: Address) => http.host === host || everywhere.includes(http.host) || everywhere.includes(host);
  const others = [admin, https?.bind, haproxyMetrics].filter((one) => one !== undefined);
  return new Set([http, ...others.filter(same)].map(({ port }) => port));
}
