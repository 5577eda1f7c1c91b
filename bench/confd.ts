// A folder of confd with this many keys: how long one rendering takes, and from the acknowledged put of one key to the file that
// has it, replaced and synced. With CONFD=/path/to/confd the same of confd, one after the other in the same run.
//
//   node scripts/bench.mjs confd [rounds, 30] [keys, 100,10000]
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { loadConfdTemplate } from '../src/files/confd/confd-template.ts';
import { thisMachine } from '../src/files/confd/machine.ts';
import { keyTree } from '../src/files/key-tree.ts';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { startEtcd } from '../test/support/etcd.ts';
import { until } from '../test/support/until.ts';
import { ms, quantile, row } from './quantiles.ts';

const rounds = Number(process.argv[2] ?? 30);
const sizes = (process.argv[3] ?? '100,10000').split(',').map(Number);
const confd = process.env['CONFD'];
const template = 'upstream web {\n{{range gets "/web/*"}}  server {{.Value}}; # {{base .Key}}\n{{end}}}\n';
const address = (i: number): string => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}:80`;

/** The time and the processor time of a rendering after as many that warm the machine up, in ms. */
async function rendering(dir: string, keys: number): Promise<readonly string[]> {
  const { render } = loadConfdTemplate({
    file: join(dir, 'templates/a'),
    folder: dir,
    escape: 'none',
    machine: thisMachine,
  });
  const none = { services: [], service: {}, keys: keyTree([]), env: {} };
  const took: number[] = [];
  const cpu: number[] = [];
  for (let round = 0; round < 2 * rounds; round += 1) {
    const values = new Map(Array.from({ length: keys }, (_, i) => [`/web/s${i}`, address(i + round)] as const));
    const start = performance.now();
    const before = process.cpuUsage();
    await render({ ...none, values });
    const { user, system } = process.cpuUsage(before);
    if (round < rounds) continue;
    took.push(performance.now() - start);
    cpu.push((user + system) / 1000);
  }
  return [ms(quantile(took, 0.5)), ms(quantile(cpu, 0.5))];
}

async function measure(keys: number, command: (dir: string, endpoint: string) => readonly [string, ...string[]]) {
  const etcd = await startEtcd();
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root: '/' });
  const dir = await mkdtemp(join(tmpdir(), 'pm-bench-'));
  const dest = join(dir, 'out');
  let child: ChildProcess | undefined;
  const put = (i: number) => registry.write(`web/s${i % keys}`, address(i));
  try {
    for (let i = 0; i < keys; i += 200) {
      await Promise.all(Array.from({ length: Math.min(200, keys - i) }, (_, j) => put(i + j)));
    }
    for (const folder of ['conf.d', 'templates']) await mkdir(join(dir, folder));
    await writeFile(join(dir, 'conf.d/a.toml'), `[template]\nsrc = "a"\ndest = "${dest}"\nkeys = ["/web"]\n`);
    await writeFile(join(dir, 'templates/a'), template);
    const [file, ...args] = command(dir, etcd.endpoints[0] ?? '');
    child = spawn(file, args, { stdio: ['ignore', 'ignore', 'ignore'] });
    const made = async () => (await readFile(dest, 'utf8').catch(() => '')).includes(`${address(keys - 1)};`);
    await until('the file is made', made, { deadlineMs: 60_000 });
    const took: number[] = [];
    for (let i = 0; i < rounds; i += 1) {
      await put(keys + i);
      const start = performance.now();
      // The only thing that runs here: the turns let nobody else in.
      while (!readFileSync(dest, 'utf8').includes(`${address(keys + i)};`)) await turn();
      took.push(performance.now() - start);
    }
    return { took, rendered: await rendering(dir, keys) };
  } finally {
    if (child !== undefined) {
      child.kill();
      await once(child, 'exit');
    }
    await registry.close();
    await etcd.close();
    await rm(dir, { recursive: true, force: true });
  }
}

console.log(`# A folder of confd\n\nNode ${process.version}, etcd 3.4.23, ${rounds} rounds, in ms.\n`);
console.log(row('keys', '', 'put → file, p50', 'p99', 'rendering, p50', 'of it processor'));
console.log(row('---', '---', '---', '---', '---', '---'));
for (const keys of sizes) {
  const ours = await measure(keys, (dir, endpoint) => [
    join(process.cwd(), 'bin/pointsman'),
    ...['files', '--confd-dir', dir, '--registry', `etcd://${endpoint.replace('http://', '')}`, '--log-level', 'error'],
  ]);
  console.log(row(keys, 'pointsman', ms(quantile(ours.took, 0.5)), ms(quantile(ours.took, 0.99)), ...ours.rendered));
  if (confd === undefined) continue;
  const theirs = await measure(keys, (dir, endpoint) => [
    confd,
    ...[
      '-watch',
      '-backend',
      'etcdv3',
      '-node',
      endpoint,
      '-confdir',
      dir,
      '-config-file',
      '/nowhere',
      '-log-level',
      'panic',
    ],
  ]);
  console.log(row(keys, 'confd', ms(quantile(theirs.took, 0.5)), ms(quantile(theirs.took, 0.99)), '', ''));
}
