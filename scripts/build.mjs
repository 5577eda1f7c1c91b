// Bundles src/cli/main.ts to dist/: one entry, and a chunk for whatever a command loads lazily, so that `register` never
// reads what only `balance` needs. Run as `npm run build`, which adds the files of a release; the scenario tests call
// `build` before they start.
import { spawnSync } from 'node:child_process';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { makeReleaseFiles, releaseFiles } from './release-files.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');

/**
 * Builds dist/. Every file is put in place by a rename, the entry last, and chunks carry their hash in their name: a
 * process that started from the build before goes on finding its own, unless `clean` asks for them to be removed.
 * @param {{ clean?: boolean }} [options]
 */
export async function build({ clean = false } = {}) {
  const page = await buildPage();
  const main = await esbuild.build({
    absWorkingDir: root,
    entryPoints: { pointsman: 'src/cli/main.ts' },
    outdir: dist,
    write: false,
    metafile: true,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    alias: { 'thread-stream': './scripts/no-worker-threads.cjs', worker_threads: './scripts/no-worker-threads.cjs' },
    chunkNames: 'chunks/[name]-[hash]',
    // Names stay, so that a stack trace still says where.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'external',
    define: { POINTSMAN_COMMIT: JSON.stringify(commit()) ?? 'undefined' },
    logLevel: 'warning',
    // What CommonJS dependencies (pino, prom-client) expect to find around them.
    banner: {
      js: "import{createRequire as nodeCreateRequire}from'node:module';const require=nodeCreateRequire(import.meta.url),__dirname=import.meta.dirname;",
    },
  });
  const outputFiles = [...page.outputFiles, ...main.outputFiles];
  const entry = join(dist, 'pointsman.js');
  for (const file of outputFiles.toSorted((a, b) => Number(a.path === entry) - Number(b.path === entry))) {
    await put(file.path, file.contents);
  }
  if (clean)
    await removeOthers([...outputFiles.map((file) => file.path), ...releaseFiles.map((name) => join(dist, name))]);
  return {
    inputs: [...Object.keys(page.metafile.inputs), ...Object.keys(main.metafile.inputs)],
    outputs: outputFiles.map((file) => ({ path: file.path, bytes: file.contents.byteLength })),
  };
}

const staging = /\.[0-9]+\.tmp$/;

/**
 * @param {string} path
 * @param {string | Uint8Array} contents
 */
async function put(path, contents) {
  await mkdir(dirname(path), { recursive: true });
  const staged = `${path}.${process.pid}.tmp`;
  await writeFile(staged, contents);
  await rename(staged, path);
}

/**
 * Removes what an earlier build left in dist/, but not what another one is just putting there.
 * @param {readonly string[]} current
 */
async function removeOthers(current) {
  for (const found of await readdir(dist, { recursive: true, withFileTypes: true })) {
    const path = join(found.parentPath, found.name);
    if (found.isFile() && !current.includes(path) && !staging.test(path)) await rm(path, { force: true });
  }
}

/** The page of the admin port, in dist/page/: one script, one style, and the document that names them. */
function buildPage() {
  return esbuild.build({
    absWorkingDir: root,
    entryPoints: [
      { in: 'src/page/main.tsx', out: 'page' },
      { in: 'src/page/index.html', out: 'index' },
    ],
    loader: { '.html': 'copy' },
    outdir: join(dist, 'page'),
    write: false,
    metafile: true,
    bundle: true,
    minify: true,
    format: 'iife',
    platform: 'browser',
    target: ['chrome123', 'firefox120', 'safari17.5'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'external',
    logLevel: 'warning',
  });
}

/** What this is built from; `undefined` outside a checkout, unless SOURCE_COMMIT says it. */
function commit() {
  const { SOURCE_COMMIT: given } = process.env;
  if (given) return given;
  const git = spawnSync('git', ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'], { cwd: root });
  return git.status === 0 ? git.stdout.toString().trim() : undefined;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const quiet = process.argv.includes('--quiet');
  const { inputs, outputs } = await build({ clean: true });
  if (!quiet) {
    for (const [name, text] of await makeReleaseFiles({ root, inputs })) await put(join(dist, name), text);
  }
  for (const { path, bytes } of outputs) {
    if (bytes > 0 && !quiet)
      console.log(`${(bytes / 1024).toFixed(0).padStart(6)} KB  ${basename(dirname(path))}/${basename(path)}`);
  }
}
