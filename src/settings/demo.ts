import { parsePort } from '../model/address.ts';
import { parseInstanceId } from '../model/name.ts';
import { declareCommand } from './command.ts';
import { defaulted, onOff, optional } from './option.ts';
import { durationWord, word } from './words.ts';

export const demoCommand = declareCommand({
  name: 'demo',
  summary: 'run a balancer with HAProxy and applications on this machine',
  options: {
    etcd: onOff('use a real etcd instead of a folder'),
    every: defaulted('DURATION', durationWord(100, 3_600_000), '3s', 'how often an application joins or leaves', {
      flagOnly: true,
    }),
    app: optional('NAME', word(parseInstanceId), 'run one of the applications of the demo (for internal use)', {
      flagOnly: true,
    }),
    port: optional('PORT', word(parsePort), 'port of that application (for internal use)', { flagOnly: true }),
  },
  assemble: ({ etcd, every: everyMs, app, port }) =>
    app === undefined || port === undefined
      ? ({ kind: 'demo', etcd, everyMs } as const)
      : ({ kind: 'app', name: app, port } as const),
});
