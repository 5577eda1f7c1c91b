import { createServer, isIP } from 'node:net';
import { errorCode } from '../model/fault.ts';
import { isSameSocket, isWildcard } from '../model/socket-address.ts';
import type { Unbindable } from './bind-probe.ts';
import type { Listener } from './listeners.ts';

/**
 * The new listeners whose address this machine does not have. This finds one whose port HAProxy itself has on all addresses, too:
 * such a listener cannot be tried with its port while HAProxy serves.
 */
export async function absentAddresses(
  wanted: readonly Listener[],
  loaded: readonly Listener[],
): Promise<readonly Unbindable[]> {
  const absent: Unbindable[] = [];
  for (const listener of wanted) {
    const { host, line, address, options } = listener;
    // With options, the address may be another's, or in another network namespace.
    if (isIP(host) === 0 || isWildcard(host) || options !== '' || loaded.some((one) => isSameSocket(one, listener)))
      continue;
    if (await isAbsent(host)) {
      absent.push({ line, address, text: `cannot listen on ${address}: this machine does not have the address` });
    }
  }
  return absent;
}

/** Whether the kernel refuses the address for any port. */
function isAbsent(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(errorCode(error) === 'EADDRNOTAVAIL'));
    server.listen({ host, port: 0 }, () => server.close(() => resolve(false)));
  });
}
