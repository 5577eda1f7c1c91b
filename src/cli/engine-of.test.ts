import { expect, test } from 'vitest';
import { enginesOf, usualEngine } from './engine-of.ts';

test('the engine that nobody names is that of $DOCKER_HOST, or the socket of Docker', () => {
  const named = (env: Readonly<Record<string, string>>) => enginesOf([], env).map(({ address }) => address);
  expect(named({})).toEqual(['unix:///var/run/docker.sock']);
  expect(named({ DOCKER_HOST: '' })).toEqual(['unix:///var/run/docker.sock']);
  expect(named({ DOCKER_HOST: 'tcp://10.0.0.1:2375' })).toEqual(['tcp://10.0.0.1:2375']);
});

test.each(['--engine', '--containers'] as const)(
  'a $DOCKER_HOST behind ssh is refused, and the message names %s',
  (flag) => {
    expect(() => usualEngine({ DOCKER_HOST: 'ssh://host-b' }, flag)).toThrow(
      expect.objectContaining({
        code: 'settings',
        where: 'DOCKER_HOST',
        message: expect.stringContaining('is not the address of an engine'),
        hint: expect.stringContaining(`name the engine with ${flag}; an engine behind ssh`),
      }),
    );
  },
);
