import type { Container } from '../../src/engine/container.ts';

/** A container that runs, with a port that is not published. */
export const containerOf = (fields: Partial<Container> = {}): Container => ({
  id: 'f00dbabe00000000',
  name: 'web-1',
  labels: {},
  phase: 'running',
  health: 'none',
  pid: 0,
  startedAt: '2026-01-01T00:00:00Z',
  createdAt: 0,
  stopSignal: 15,
  stopTimeoutMs: 10_000,
  networkMode: 'bridge',
  exposed: [8080],
  published: [],
  networks: [{ name: 'bridge', ipv4: '172.17.0.2', ipv6: undefined }],
  ...fields,
});
