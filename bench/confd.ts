// A folder of confd with this many keys: how long one rendering takes, and from the acknowledged put of one key to the file that
// has it, replaced and synced. With CONFD=/path/to/confd the same of confd, one after the other in the same run.
//
//   node scripts/bench.mjs confd [rounds, 30] [keys, 100,10000]
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadConfdTemplate } from '../src/files/confd/confd-template.ts';
import { thisMachine } from '../src/files/confd/machine.ts';
import { keyTree } from '../src/files/key-tree.ts';
import { measureFile } from './file-latency.ts';
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

const measure = (keys: number, command: (dir: string, endpoint: string) => readonly [string, ...string[]]) =>
  measureFile(
    {
      ...{ root: '/', entries: keys, rounds, dest: 'out' },
      entry: (i) => [`web/s${i % keys}`, address(i)],
      trace: (i) => `${address(i)};`,
      command: async (dir, etcd) => {
        for (const folder of ['conf.d', 'templates']) await mkdir(join(dir, folder));
        const dest = join(dir, 'out');
        await writeFile(join(dir, 'conf.d/a.toml'), `[template]\nsrc = "a"\ndest = "${dest}"\nkeys = ["/web"]\n`);
        await writeFile(join(dir, 'templates/a'), template);
        return command(dir, etcd.endpoints[0] ?? '');
      },
    },
    (dir) => rendering(dir, keys),
  );

console.log(`# A folder of confd\n\nNode ${process.version}, etcd 3.4.23, ${rounds} rounds, in ms.\n`);
console.log(row('keys', '', 'put → file, p50', 'p99', 'rendering, p50', 'of it processor'));
console.log(row('---', '---', '---', '---', '---', '---'));
for (const keys of sizes) {
  const ours = await measure(keys, (dir, endpoint) => [
    join(process.cwd(), 'bin/pointsman'),
    ...['files', '--confd-dir', dir, '--registry', `etcd://${endpoint.replace('http://', '')}`, '--log-level', 'error'],
  ]);
  console.log(row(keys, 'pointsman', ms(quantile(ours.took, 0.5)), ms(quantile(ours.took, 0.99)), ...ours.after));
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
