import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** How clients speak with HAProxy. */
export type Protocol = 'h1' | 'h2' | 'tls h1' | 'tls h2';

export type Target = {
  readonly port: number;
  readonly protocol: Protocol;
  /** The host of the requests. */
  readonly host: string;
  readonly path: string;
};

const clients = 32;

const argumentsOf = ({ port, protocol, host, path }: Target): readonly string[] => [
  ...(protocol.endsWith('h1') ? ['--h1'] : []),
  ...['--connect-to', `127.0.0.1:${port}`, `${protocol.startsWith('tls') ? 'https' : 'http'}://${host}${path}`],
];

/** So many requests by clients that keep their connections, as fast as they are answered. Gives how many a second. */
export async function askAll(target: Target, requests: number, of = clients): Promise<number> {
  const began = performance.now();
  const { stdout } = await execa('h2load', ['-c', `${of}`, '-n', `${requests}`, ...argumentsOf(target)]);
  expectAnswers(stdout, requests);
  return requests / ((performance.now() - began) / 1000);
}

/** How long each answer took, in ms, while all clients together ask so often. */
export async function askAtRate(target: Target, perSecond: number, seconds: number, dir: string) {
  const log = join(dir, 'h2load.log');
  const rate = ['--rps', `${perSecond / clients}`, '-n', `${perSecond * seconds}`, '--log-file', log];
  const { stdout } = await execa('h2load', ['-c', `${clients}`, ...rate, ...argumentsOf(target)]);
  expectAnswers(stdout, perSecond * seconds);
  const lines = (await readFile(log, 'utf8')).trim().split('\n');
  await rm(log);
  return lines.map((line) => Number(line.split('\t')[2]) / 1000);
}

function expectAnswers(printed: string, requests: number): void {
  const good = Number(/(\d+) 2xx/.exec(printed)?.[1]);
  if (good !== requests) throw new Error(`${good} of ${requests} requests were answered with 2xx:\n${printed}`);
}
