// From the acknowledged put of an instance to the file that has it, replaced and synced: an nginx upstream of this many
// servers, with no check, no reload and nothing waited for, so that it is pointsman's own time.
//
//   node scripts/bench.mjs files [rounds, 50] [servers, 10,1000,10000]
import { execFileSync } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { measureFile } from './file-latency.ts';
import { ms, quantile, row } from './quantiles.ts';

const rounds = Number(process.argv[2] ?? 50);
const sizes = (process.argv[3] ?? '10,1000,10000').split(',').map(Number);

async function measure(servers: number): Promise<string> {
  const { took, after: rss } = await measureFile(
    {
      ...{ root: '/pointsman/', entries: servers, rounds, dest: 'nginx.conf' },
      entry: (i) => [`instances/web/s${i}`, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}:80`],
      trace: (i) => `# s${i}\n`,
      command: async (dir, { location }) => {
        await cp('templates/examples', dir, { recursive: true });
        await writeFile(
          join(dir, 'p.yaml'),
          `templates:\n- {src: nginx-sites.mustache, dest: nginx.conf, escape: nginx, wait: 0ms}\n`,
        );
        const args = ['files', '--registry', location, '--config', join(dir, 'p.yaml'), '--log-level', 'error'];
        return [join(process.cwd(), 'bin/pointsman'), ...args];
      },
    },
    async (_, pid) => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024,
  );
  return row(servers, ms(quantile(took, 0.5)), ms(quantile(took, 0.99)), rss.toFixed(0));
}

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
const machine = `${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), Node ${process.version}`;
console.log(`# Files\n\n${machine}, etcd 3.4.23, commit ${commit}.`);
console.log(`Acknowledged put → the file replaced and synced, in ms, ${rounds} rounds.\n`);
console.log(row('servers', 'p50', 'p99', 'RSS MB'));
console.log(row('---', '---', '---', '---'));
for (const servers of sizes) console.log(await measure(servers));
