import { Fault } from '../model/fault.ts';
import { noRightHint } from './bind-probe.ts';

/** The Fault of a start that failed, by the last lines that HAProxy wrote. */
export function startFault(lastLines: readonly string[], configFile: string): Fault {
  const text = lastLines.join('\n');
  const bind = /cannot bind (?:socket|UNIX socket).*?\[([^\]]+)\](?:.*)$/im.exec(text);
  if (bind?.[1] !== undefined && /in use/i.test(text)) {
    return new Fault('address-in-use', `HAProxy cannot listen on ${bind[1]}: it is in use`, {
      hint: 'end what listens there (ss -ltnp shows it), or choose another with --http',
    });
  }
  if (bind?.[1] !== undefined && /permission denied/i.test(text)) {
    return new Fault('haproxy-start', `HAProxy may not listen on ${bind[1]}`, { hint: noRightHint });
  }
  const alert = lastLines.findLast((line) => line.includes('[ALERT]')) ?? lastLines.at(-1) ?? '';
  return new Fault('haproxy-start', `HAProxy did not start: ${alert.trim()}`, { where: configFile });
}
