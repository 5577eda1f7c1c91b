// Runs a benchmark: `node scripts/bench.mjs propagation [arguments]`. Bundled first, because Node 20 runs no TypeScript.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { build } from './build.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [name, ...args] = process.argv.slice(2);
if (name === undefined) {
  console.error('usage: node scripts/bench.mjs NAME [arguments]   (a file in bench/)');
  process.exit(2);
}
await build();
const outfile = join(root, 'node_modules/.bench', `${name}.mjs`);
await esbuild.build({
  absWorkingDir: root,
  entryPoints: [`bench/${name}.ts`],
  outfile,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  packages: 'external',
  logLevel: 'warning',
});
process.exit(spawnSync(process.execPath, [outfile, ...args], { stdio: 'inherit', cwd: root }).status ?? 1);
