import { expect, onTestFinished, test } from 'vitest';
import { type ProcessEntry, ProcessTree } from '../src/register/process-tree.ts';
import { startRegistration } from './support/registration.ts';
import { until } from './support/until.ts';

// Each of these prints its pid when it is ready. The second one ignores SIGTERM.
const polite = `process.on('SIGTERM', () => { console.log('told'); process.exit(0); });`;
const stubborn = `process.on('SIGTERM', () => console.log('told'));`;
const app = (code: string) =>
  `'${process.execPath}' -e "${code} console.log('pid', process.pid); setInterval(() => {}, 1000);"`;

async function start(script: string, ...flags: readonly string[]) {
  const { register } = await startRegistration('folder');
  const options = ['--check', 'none', ...flags];
  const registration = register('a', '10.0.0.1:80', ...options, '--', '/bin/sh', '-c', script);
  await registration.logged('announced');
  const pid = await until('the application is ready', () => {
    const line = registration.stdout.find((text) => text.startsWith('pid '));
    return line === undefined ? false : Number(line.slice(4));
  });
  const isThere = (): boolean => new ProcessTree(pid).look().some((one: ProcessEntry) => one.pid === pid);
  onTestFinished(() => {
    if (isThere()) process.kill(pid, 'SIGKILL');
  });
  return { registration, pid, isThere };
}

test('an application that a shell runs in the background is told to end, and waited for', async () => {
  const { registration, isThere } = await start(`${app(polite)} & wait`);
  registration.kill('SIGTERM');
  // The shell's own.
  expect((await registration.ended).code).toBe(143);
  expect(registration.stdout).toContain('told');
  expect(isThere()).toBe(false);
});

test('an application that a shell runs in the background is killed when it does not end within --grace', async () => {
  const { registration, isThere } = await start(`${app(stubborn)} & wait`, '--grace', '300ms');
  registration.kill('SIGTERM');
  await registration.ended;
  expect(registration.stdout).toContain('told');
  await until('it is gone', () => !isThere());
  expect(registration.log.map(({ event }) => event)).toContain('command-killed');
});

test('an application in a session of its own is killed with the command that does not end', async () => {
  const { registration, isThere } = await start(
    `trap : TERM; setsid ${app(stubborn)} & while :; do wait; done`,
    '--grace',
    '300ms',
  );
  registration.kill('SIGTERM');
  expect((await registration.ended).code).toBe(137);
  await until('it is gone', () => !isThere());
});

test('a daemon, whose parent has ended, is left alone', async () => {
  const daemon = `f=$(mktemp); (setsid ${app(stubborn)} >$f 2>&1 </dev/null &); until [ -s $f ]; do sleep 0.05; done`;
  const { registration, isThere } = await start(`${daemon}; cat $f; rm $f; while :; do sleep 1; done`);
  registration.kill('SIGTERM');
  await registration.ended;
  expect(isThere()).toBe(true);
});
