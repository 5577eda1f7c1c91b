import { describe, expect, test } from 'vitest';
import { parseServiceName } from '../model/name.ts';
import { changesBetween, containersOf } from './service-containers.ts';

const web = parseServiceName('web');
if (!web.ok) throw new Error('web is a name');

const listed = (name: string, state: string, labels: Readonly<Record<string, string>> = { 'pointsman.service': 'web' }) => ({
  ...{ id: `id of ${name}`, name, state, labels },
}); // biome-ignore format: one idea

describe('the containers of a service', () => {
  test('are those whose labels name it, in whatever state they are', () => {
    const all = [
      listed('running', 'running'),
      listed('crashing', 'restarting'),
      listed('ended', 'exited'),
      listed('other', 'running', { 'pointsman.service': 'shop' }),
      listed('both', 'running', { 'pointsman.web.port': '80', 'pointsman.admin.port': '81' }),
      listed('none', 'running', {}),
    ];
    const found = containersOf(web.value, all).map(({ name, active, services }) => [name, active, services]);
    expect(found).toEqual([
      ['both', true, ['web', 'admin']],
      ['crashing', true, ['web']],
      ['ended', false, ['web']],
      ['running', true, ['web']],
    ]);
  });

  test('are not those of `docker compose run`, which have its labels', () => {
    const task = { 'pointsman.service': 'web', 'com.docker.compose.oneoff': 'True' };
    expect(containersOf(web.value, [listed('task', 'running', task)])).toEqual([]);
  });
});

describe('the changes of a command', () => {
  const all = (...containers: readonly (readonly [string, string])[]) =>
    containersOf(web.value, containers.map(([name, state]) => listed(name, state))); // biome-ignore format: one idea
  const names = (changes: ReturnType<typeof changesBetween>) =>
    Object.fromEntries(Object.entries(changes).map(([kind, of]) => [kind, of.map(({ name }) => name)]));

  test('are new containers, also those that ended at once', () => {
    const changes = changesBetween(all(['a', 'running']), all(['a', 'running'], ['b', 'running'], ['c', 'exited']));
    expect(names(changes)).toEqual({ fresh: ['b', 'c'], left: ['a'], lost: [] });
  });

  test('count a stopped container that it started again as an old one', () => {
    const changes = changesBetween(all(['a', 'running'], ['b', 'exited']), all(['a', 'running'], ['b', 'running']));
    expect(names(changes)).toEqual({ fresh: [], left: ['a', 'b'], lost: [] });
  });

  test('are old containers that it stopped or removed', () => {
    const changes = changesBetween(all(['a', 'running'], ['b', 'running']), all(['b', 'exited'], ['c', 'running']));
    expect(names(changes)).toEqual({ fresh: ['c'], left: [], lost: ['a', 'b'] });
  });
});
