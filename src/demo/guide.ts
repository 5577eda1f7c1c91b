/** The places of a demo that runs. */
export type DemoPlaces = {
  readonly http: number;
  readonly admin: number;
  /** The registry, as `--registry` takes it. */
  readonly location: string;
  /** How a person calls pointsman in the folder that the demo was started in. */
  readonly command: string;
  /** Whether keys are read. */
  readonly keys: boolean;
};

/** The port that commands ask when they get no `--admin`. */
const usualAdmin = 8404;

/** Commands to try next, each with what it shows. They work as they are printed as long as the demo runs. */
export function demoCommands({ location, admin, command }: DemoPlaces): readonly { says: string; command: string }[] {
  const at = `--registry ${location}`;
  const asking = admin === usualAdmin ? at : `${at} --admin 127.0.0.1:${admin}`;
  return [
    { says: 'which instances serve web, and what is wrong', command: `${command} status web ${asking}` },
    { says: 'take one out; `undrain` instead of `drain` brings it back', command: `${command} drain web/web-2 ${at}` },
    { says: 'what happened last, and how long each change took', command: `${command} events ${asking}` },
  ];
}

/** What the demo is, what its lines mean, and what to try next. At most 80 columns, except for a command. */
export function demoGuide(places: DemoPlaces, bold: (text: string) => string): readonly string[] {
  const { http, admin, keys } = places;
  return [
    '',
    `  HAProxy listens on http://127.0.0.1:${http}/ and sends requests to the service`,
    '  web. Each instance of web registers itself, and pointsman keeps HAProxy in',
    '  step with them, without a reload. A client sends 50 requests a second.',
    '  The lines below tell what happens, in how many milliseconds HAProxy serves',
    '  it, and how many requests were answered and failed.',
    '',
    `  ${bold('ask it')}    curl http://127.0.0.1:${http}/`,
    `  ${bold('look')}      http://127.0.0.1:${admin}/  (a page that follows what happens)`,
    ...(keys
      ? [
          `  ${bold('press d')}   a rolling deploy: each instance is replaced by a newer version`,
          `  ${bold('press c')}   a crash: an instance is killed, with no time to say goodbye`,
          `  ${bold('press k')}   a canary: a new version gets 10 %, 50 % and then all requests`,
          `  ${bold('press h')}   this text; ${bold('Ctrl-C')} ends the demo and leaves nothing behind`,
        ]
      : [
          `  ${bold('show')}      npm start -- --show deploy,crash,canary  (and end)`,
          `  ${bold('end')}       Ctrl-C, or SIGTERM; nothing is left behind`,
        ]),
    '',
    `  ${bold('Try in another terminal, in this folder:')}`,
    '',
    ...demoCommands(places).flatMap(({ says, command }) => [`  # ${says}`, `  ${command}`]),
    '',
  ];
}
