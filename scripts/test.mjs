// `npm test`: the checks and every test, then one line `N passed, N failed`, which is always the last. Arguments are
// those of vitest: `npm test -- --project unit src/settings`.
import { spawnSync } from 'node:child_process';
import { parseCLI, startVitest } from 'vitest/node';

const check = spawnSync('npm', ['run', '--silent', 'check'], { stdio: 'inherit' });

const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2)]);
const vitest = await startVitest('test', filter, { ...options, watch: false });
const modules = vitest.state.getTestModules();
const tests = modules.flatMap((module) => [...module.children.allTests()]);
const passed = tests.filter((test) => test.result().state === 'passed').length;
// A file that cannot be loaded has no tests that could fail, and a stray rejection belongs to none.
const failed =
  (check.status === 0 ? 0 : 1) +
  tests.filter((test) => test.result().state === 'failed').length +
  modules.reduce((sum, module) => sum + module.errors().length, 0) +
  vitest.state.getUnhandledErrors().length;
await vitest.close();
const bad = failed > 0 || passed === 0 || Number(process.exitCode ?? 0) !== 0;
process.stdout.write(`\n${passed} passed, ${bad ? Math.max(failed, 1) : 0} failed\n`, () => process.exit(bad ? 1 : 0));
