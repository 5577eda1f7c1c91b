// From the acknowledged put of an instance to the file that has it, replaced and synced: an nginx upstream of this many
// servers, with no check, no reload and nothing waited for, so that it is pointsman's own time.
//
//   node scripts/bench.mjs files [rounds, 50] [servers, 10,1000,10000]
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { startEtcd } from '../test/support/etcd.ts';
import { until } from '../test/support/until.ts';
import { ms, quantile, row } from './quantiles.ts';

const rounds = Number(process.argv[2] ?? 50);
const sizes = (process.argv[3] ?? '10,1000,10000').split(',').map(Number);
const root = '/pointsman/';

async function measure(servers: number): Promise<string> {
  const etcd = await startEtcd();
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
  const dir = await mkdtemp(join(tmpdir(), 'pm-bench-'));
  const dest = join(dir, 'nginx.conf');
  let child: ChildProcess | undefined;
  const put = (i: number) => registry.write(`instances/web/s${i}`, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}:80`);
  try {
    for (let i = 0; i < servers; i += 200) {
      await Promise.all(Array.from({ length: Math.min(200, servers - i) }, (_, j) => put(i + j)));
    }
    await cp('templates/examples', dir, { recursive: true });
    await writeFile(
      join(dir, 'p.yaml'),
      `templates:\n- {src: nginx-sites.mustache, dest: nginx.conf, escape: nginx, wait: 0ms}\n`,
    );
    const args = ['files', '--registry', etcd.location, '--config', join(dir, 'p.yaml'), '--log-level', 'error'];
    child = spawn(join(process.cwd(), 'bin/pointsman'), args, { stdio: ['ignore', 'ignore', 'inherit'] });
    const made = async () => (await readFile(dest, 'utf8').catch(() => '')).includes(`# s${servers - 1}\n`);
    await until('the file is made', made, { deadlineMs: 60_000 });
    const took: number[] = [];
    for (let i = 0; i < rounds; i += 1) {
      const id = servers + i;
      await put(id);
      const start = performance.now();
      // The only thing that runs here: the turns let nobody else in.
      while (!readFileSync(dest, 'utf8').includes(`# s${id}\n`)) await turn();
      took.push(performance.now() - start);
    }
    const rss = Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024;
    return row(servers, ms(quantile(took, 0.5)), ms(quantile(took, 0.99)), rss.toFixed(0));
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

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
const machine = `${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), Node ${process.version}`;
console.log(`# Files\n\n${machine}, etcd 3.4.23, commit ${commit}.`);
console.log(`Acknowledged put → the file replaced and synced, in ms, ${rounds} rounds.\n`);
console.log(row('servers', 'p50', 'p99', 'RSS MB'));
console.log(row('---', '---', '---', '---'));
for (const servers of sizes) console.log(await measure(servers));
