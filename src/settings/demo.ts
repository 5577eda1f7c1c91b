import { parsePort } from '../model/address.ts';
import { parseInstanceId } from '../model/name.ts';
import { accepted, type Parsed, quote, rejected } from '../model/parsed.ts';
import { declareCommand } from './command.ts';
import { defaulted, onOff, optional } from './option.ts';
import { durationWord, word } from './words.ts';

/** What the demo can show, by the word that asks for it. */
const demoActs = ['deploy', 'crash', 'canary'] as const;
export type DemoAct = (typeof demoActs)[number];

export const demoCommand = declareCommand({
  name: 'demo',
  summary: 'run a balancer with HAProxy and applications on this machine',
  options: {
    etcd: onOff('use a real etcd instead of a folder'),
    every: defaulted('DURATION', durationWord(100, 3_600_000), '10s', 'how often an application joins or leaves', {
      flagOnly: true,
    }),
    show: optional('ACTS', word(parseActs), 'show these and end: deploy, crash, canary, with commas between them', {
      flagOnly: true,
    }),
    app: optional('NAME', word(parseInstanceId), 'run one of the applications of the demo (for internal use)', {
      flagOnly: true,
    }),
    port: optional('PORT', word(parsePort), 'port of that application (for internal use)', { flagOnly: true }),
  },
  assemble: ({ etcd, every: everyMs, show = [], app, port }) =>
    app === undefined || port === undefined
      ? ({ kind: 'demo', etcd, everyMs, show } as const)
      : ({ kind: 'app', name: app, port } as const),
});

function parseActs(text: string): Parsed<readonly DemoAct[]> {
  const acts: DemoAct[] = [];
  for (const name of text.split(',')) {
    const act = demoActs.find((one) => one === name.trim());
    if (act === undefined) return rejected(`${quote(name)} is none of ${demoActs.join(', ')}`);
    acts.push(act);
  }
  return accepted(acts);
}
