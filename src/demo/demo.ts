import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, Fault } from '../model/fault.ts';
import type { Registry } from '../registry/registry.ts';
import type { DemoAct } from '../settings/demo.ts';
import { aborted, timeLimit } from '../waiting/time-limit.ts';
import { Acts } from './acts.ts';
import { type DemoChild, type Start, startChild } from './child.ts';
import type { Colors } from './colors.ts';
import { startEtcd } from './etcd.ts';
import { demoGuide } from './guide.ts';
import { Instances } from './instances.ts';
import { parseLogLine } from './log-line.ts';
import { preferPort } from './ports.ts';
import { type DemoTraffic, startTraffic } from './traffic.ts';

export type DemoOptions = {
  /** Run on a real etcd that is started for the demo; otherwise on a folder. */
  readonly etcd: boolean;
  /** How to start pointsman itself: node and its entry. */
  readonly pointsman: readonly [string, ...string[]];
  /** How a person calls pointsman in the present folder. */
  readonly command: string;
  /** Opens the registry at a location as `--registry` takes it. */
  readonly openRegistry: (location: string) => Promise<Registry>;
  readonly print: (line: string) => void;
  readonly colors: Colors;
  /** Folds a line at the width of the terminal. */
  readonly fold: (line: string) => string;
  /** Between two changes, in ms. */
  readonly everyMs: number;
  /** Is shown, and then the demo ends; none: it goes on until `signal` aborts. */
  readonly show: readonly DemoAct[];
  /** Calls back with each key that is pressed, until the answer is called; undefined: nobody presses keys. */
  readonly onKey: ((listener: (key: string) => void) => () => void) | undefined;
  readonly signal: AbortSignal;
};

const httpPort = 8080;
const adminPort = 8404;
/** Between two lines with counts while an act is under way, in ms. */
const actEveryMs = 3000;
const requestEveryMs = 20;
const ids = ['web-1', 'web-2', 'web-3'];
const actOfKey: ReadonlyMap<string, DemoAct> = new Map([
  ['d', 'deploy'],
  ['c', 'crash'],
  ['k', 'canary'],
]);

/** A balancer, its HAProxy and a handful of registered applications that come and go, until `signal` aborts. */
export async function runDemo(options: DemoOptions): Promise<void> {
  const { print, signal, colors } = options;
  const dir = await mkdtemp(join(tmpdir(), 'pointsman-demo-'));
  const children: DemoChild[] = [];
  const stopping = new AbortController();
  const start: Start = (name, command, onLine = () => undefined) => {
    if (stopping.signal.aborted) throw new Fault('deadline', 'the demo is being stopped');
    const child = startChild(name, command, onLine);
    children.push(child);
    return child;
  };
  const cleanUp: (() => void)[] = [];
  try {
    await play(options, { dir, start, stopping: stopping.signal, cleanUp });
  } catch (error) {
    // What was under way did not come to its end.
    if (!signal.aborted) throw error;
  } finally {
    stopping.abort();
    for (const one of cleanUp) one();
    print(colors.dim('stopping; nothing is left behind'));
    await stopAll(children);
    await rm(dir, { recursive: true, force: true });
  }
}

/** Instances before the balancer, so that it sees them leave; the registry last. */
async function stopAll(children: readonly DemoChild[]): Promise<void> {
  const servers = children.filter(({ name }) => name === 'balancer' || name === 'etcd').reverse();
  await Promise.all(children.filter((child) => !servers.includes(child)).map((child) => child.stop()));
  for (const child of servers) await child.stop();
}

/** The parts of a demo that is being set up. */
type Setting = {
  readonly dir: string;
  readonly start: Start;
  readonly stopping: AbortSignal;
  /** What has to be ended before the processes are. */
  readonly cleanUp: (() => void)[];
};

async function play(options: DemoOptions, { dir, start, stopping, cleanUp }: Setting): Promise<void> {
  const { signal, print, colors, pointsman, onKey, show } = options;
  const say = (text: string) => print(options.fold(`${colors.dim(new Date().toTimeString().slice(0, 8))} ${text}`));
  const http = await preferPort(httpPort);
  const admin = await preferPort(adminPort);
  const folder = join(dir, 'keys');
  if (!options.etcd) await mkdir(folder);
  const location = options.etcd ? await startEtcd(dir, start) : `dir:${folder}`;
  const writePolicy = () => declareService(options, location);
  await writePolicy();
  const serving = startBalancer(options, { start, stopping, say, location, http, admin, dir: join(dir, 'balancer') });
  const instances = new Instances({ start, pointsman, location, say, colors });
  for (const id of ids) await instances.join(id, 'v1');
  await Promise.race([serving, aborted(signal)]);
  if (signal.aborted) return;
  const guide = () => {
    const places = { http, admin, location, command: options.command, keys: onKey !== undefined };
    for (const line of demoGuide(places, colors.bold)) print(line);
  };
  // Who asked for acts is not there to try anything else.
  if (show.length === 0) guide();
  else print(`\n  A client sends 50 requests a second to http://127.0.0.1:${http}/.\n`);
  const traffic = startTraffic(http, requestEveryMs);
  cleanUp.push(() => traffic.stop());
  const now = () => performance.now();
  const acts = new Acts({ start, pointsman, location, admin, instances, traffic, say, colors, ids, writePolicy, now });
  if (onKey !== undefined) {
    const stopKeys = onKey((key) => {
      const act = actOfKey.get(key);
      if (key === 'h') guide();
      else if (act !== undefined)
        void acts.show(act).catch((error: unknown) => {
          if (!signal.aborted) say(colors.red(describe(error)));
        });
    });
    cleanUp.push(stopKeys);
  }
  const ended = new AbortController();
  const counting = comeAndGo(options, { instances, traffic, acts, say, ended: ended.signal });
  try {
    for (const act of show) if (!signal.aborted) await Promise.race([acts.show(act), aborted(signal)]);
    if (show.length === 0) await aborted(signal);
  } finally {
    ended.abort();
    await counting;
  }
}

type BalancerPlaces = {
  readonly start: Start;
  readonly stopping: AbortSignal;
  readonly say: (text: string) => void;
  readonly location: string;
  readonly http: number;
  readonly admin: number;
  readonly dir: string;
};

/** Resolves when the balancer serves; rejects when it ends before the demo does. */
function startBalancer(
  { pointsman, signal, colors, print }: DemoOptions,
  { start, stopping, say, location, http, admin, dir }: BalancerPlaces,
): Promise<void> {
  let serves = false;
  return new Promise((resolve, reject) => {
    const balancer = start(
      'balancer',
      [...pointsman, 'balance', '--registry', location, '--dir', dir, '--log-format', 'json',
        '--http', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`], // biome-ignore format: a command line
      (line) => {
        const log = parseLogLine(line);
        if (log === undefined) print(colors.red(line));
        // At the end all instances leave, which is no news.
        else if (!stopping.aborted) {
          // Before that the time is that of a start of HAProxy.
          if (log.event === 'applied' && serves) {
            say(colors.dim(`  HAProxy serves revision ${log.revision}, ${log.ms ?? '?'} ms after pointsman read it`));
          }
          if (log.event === 'reloaded') {
            say(colors.yellow(`  HAProxy was reloaded, in ${log.ms ?? '?'} ms: ${log.reasons.join('; ')}`));
          }
          if (log.event === 'server-down') say(colors.red(`  HAProxy's checks say: ${log.message}`));
        }
        if (log?.event !== 'serving') return;
        serves = true;
        say('HAProxy has started and serves');
        resolve();
      },
    );
    void balancer.ended.then((how) => {
      if (!signal.aborted && !stopping.aborted) reject(new Fault('haproxy-start', `the balancer ended: ${how}`));
    });
  });
}

type Playing = {
  readonly instances: Instances;
  readonly traffic: DemoTraffic;
  readonly acts: Acts;
  readonly say: (text: string) => void;
  readonly ended: AbortSignal;
};

/** Prints the answers, and has a further instance join and leave while no act is under way. */
async function comeAndGo(
  { everyMs, colors, show }: DemoOptions,
  { instances, traffic, acts, say, ended }: Playing,
): Promise<void> {
  let next = ids.length + 1;
  let last = performance.now();
  while (!ended.aborted) {
    await pause(Math.min(everyMs, actEveryMs), undefined, { signal: ended }).catch(() => undefined);
    if (ended.aborted) return;
    const busy = acts.current !== undefined;
    if (!busy && performance.now() - last < everyMs * 0.99) continue;
    last = performance.now();
    const { byInstance, failed, lastFailure } = traffic.take();
    const shares = [...byInstance].sort().map(([id, count]) => `${id} ${colors.cyan(String(count))}`);
    const failures = failed === 0 ? colors.green('0 failed') : colors.red(`${failed} failed (${lastFailure})`);
    say(`answered: ${shares.join('  ')}  ${failures}`);
    if (busy || show.length > 0) continue;
    const others = instances.ids.filter((id) => !ids.includes(id));
    const [other] = others;
    if (other === undefined) {
      await instances.join(`web-${next}`, acts.version).catch(() => undefined);
      next += 1;
    } else void instances.leave(other);
  }
}

/** So that the demo answers whatever host it is asked for, and finds a crash soon. */
async function declareService({ openRegistry, signal }: DemoOptions, location: string): Promise<void> {
  const registry = await openRegistry(location);
  try {
    const policy = { hosts: ['*'], balance: 'roundrobin', check: { kind: 'tcp', interval: '500ms' } };
    await registry.write('services/web', JSON.stringify(policy), { signal: timeLimit(20_000, signal) });
  } finally {
    await registry.close();
  }
}
