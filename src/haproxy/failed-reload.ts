/**
 * Whether a reload has to succeed after one that failed, before another may fail. Since 3.1 the master has the next worker
 * ask the one that failed for its listening sockets, and gets none. So that worker binds them all anew. If it then fails too,
 * the connections that it has accepted by then are reset, and nobody listens on the path of the runtime socket any more. A
 * reload on the configuration that serves refuses nothing (measured with 3.2.26 and 3.4.7).
 */
export function mustSucceedBetween(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 3 || (major === 3 && minor >= 1);
}
