import { parsePort } from '../model/address.ts';
import { parseInstanceId } from '../model/name.ts';
import { declareCommand } from './command.ts';
import { defaulted, onOff, optional } from './option.ts';
import { durationWord, word } from './words.ts';

/** `pointsman demo`. */
export const demoCommand = declareCommand({
  name: 'demo',
  summary: 'show the whole of it on this machine: a balancer, its HAProxy, and applications that come and go',
  options: {
    etcd: onOff({ description: 'on a real etcd instead of a folder' }),
    every: defaulted({
      placeholder: 'DURATION',
      description: 'how often an application joins or leaves',
      word: durationWord(100, 3_600_000),
      fallback: '3s',
      flagOnly: true,
    }),
    app: optional({
      placeholder: 'NAME',
      description: "be one of the demo's applications (the demo calls itself with this)",
      word: word(parseInstanceId),
      flagOnly: true,
    }),
    port: optional({
      placeholder: 'PORT',
      description: 'where that application listens',
      word: word(parsePort),
      flagOnly: true,
    }),
  },
  assemble: ({ etcd, every: everyMs, app, port }) =>
    app === undefined || port === undefined
      ? ({ kind: 'demo', etcd, everyMs } as const)
      : ({ kind: 'app', name: app, port } as const),
});
