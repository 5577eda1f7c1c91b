import { execa } from 'execa';
import type { Logger } from 'pino';
import type { ServiceManager } from '../balance/service-manager.ts';
import { apart } from '../haproxy/processes.ts';
import { describe } from '../model/fault.ts';
import { SerialQueue } from '../waiting/serial-queue.ts';

const notifyMs = 10_000;

/**
 * The service manager that `NOTIFY_SOCKET` names, sd_notify(3): systemd with `Type=notify`. Node cannot send to the socket, which takes
 * datagrams; systemd-notify can. Without the variable nobody is told.
 */
export function serviceManager(env: Readonly<Record<string, string | undefined>>, logger: Logger): ServiceManager {
  const socket = env['NOTIFY_SOCKET'];
  // One after the other, so that the last state is the one that stays.
  const queue = new SerialQueue();
  const tell = (...states: readonly string[]): void => {
    if (socket === undefined || socket === '') return;
    void queue.run(async () => {
      try {
        await execa('systemd-notify', states, { ...apart, env: { NOTIFY_SOCKET: socket }, timeout: notifyMs });
      } catch (error) {
        const text = 'pointsman cannot report its state to the service manager';
        logger.warn({ event: 'notify-failed', states, reason: describe(error) }, text);
      }
    });
  };
  return {
    started: (says) => tell('READY=1', `STATUS=${says}`),
    says: (text) => tell(`STATUS=${text}`),
    stopping: (says) => tell('STOPPING=1', `STATUS=${says}`),
  };
}
