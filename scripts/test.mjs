// `npm test`: the checks and every test, side by side, then one line `N passed, N failed`, which is always the last. Arguments
// are those of vitest: `npm test -- --project unit src/settings`.
import { spawn } from 'node:child_process';

// A log is plain text. Vitest decides about colours while it is loaded.
if (!process.stdout.isTTY) process.env['NO_COLOR'] ??= '1';
const { parseCLI, startVitest } = await import('vitest/node');
const { Progress } = await import('./progress.mjs');

/** Runs a command to its end, and prints what it printed then. @param {string} name @param {readonly [string, ...string[]]} command */
function run(name, [file, ...args]) {
  const began = performance.now();
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  /** @type {Buffer[]} */
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => output.push(chunk));
  /** @type {Promise<boolean>} */
  const ended = new Promise((resolve) => {
    child.on('error', (error) => output.push(Buffer.from(`${error}\n`)));
    child.on('close', (code) => {
      const seconds = Math.round((performance.now() - began) / 1000);
      process.stdout.write(`${name} ${code === 0 ? 'passed' : 'FAILED'} after ${seconds} s\n`);
      if (code !== 0) process.stdout.write(Buffer.concat(output));
      resolve(code === 0);
    });
  });
  return ended;
}

const checking = run('check', ['npm', 'run', '--silent', 'check']);

const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2)]);
const vitest = await startVitest('test', filter, { ...options, watch: false, reporters: [new Progress()] });
const modules = vitest.state.getTestModules();
const tests = modules.flatMap((module) => [...module.children.allTests()]);
const passed = tests.filter((test) => test.result().state === 'passed').length;
// A file that cannot be loaded has no tests that could fail, and a stray rejection belongs to none.
const failed =
  ((await checking) ? 0 : 1) +
  tests.filter((test) => test.result().state === 'failed').length +
  modules.reduce((sum, module) => sum + module.errors().length, 0) +
  vitest.state.getUnhandledErrors().length;
await vitest.close();
const bad = failed > 0 || passed === 0 || Number(process.exitCode ?? 0) !== 0;
process.stdout.write(`\n${passed} passed, ${bad ? Math.max(failed, 1) : 0} failed\n`, () => process.exit(bad ? 1 : 0));
