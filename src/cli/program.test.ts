import { expect, test } from 'vitest';
import { runProgram } from './program.ts';

const machine = { hostname: 'desk', home: undefined, stateHome: undefined, root: false };
const run = (...argv: readonly string[]) => runProgram(argv, { env: {}, machine, packageFolder: '/none' });

test('an unknown option is answered with the hint that a command to run comes after --', async () => {
  await expect(run('rollout', 'web', 'docker', 'compose', 'up', '-d')).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringContaining('-d'),
    hint: 'put -- before the command that rollout runs; see pointsman rollout --help',
  });
  await expect(run('rollout', '--wrong', 'web', '--', 'docker')).rejects.toMatchObject({
    hint: 'see pointsman rollout --help',
  });
  await expect(run('stop', '-d')).rejects.toMatchObject({ hint: 'see pointsman stop --help' });
});
