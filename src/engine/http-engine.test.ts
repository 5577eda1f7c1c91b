import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startEngineServer } from '../../test/support/engine-server.ts';
import type { EngineFacts } from './engine-api.ts';
import { HttpEngine } from './http-engine.ts';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pm-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const engineAt = (path: string) => new HttpEngine({ kind: 'unix', path });

describe('an engine', () => {
  test('lists its containers and inspects one', async () => {
    const path = join(dir, 'engine.sock');
    const server = await startEngineServer(path);
    server.put('f00d', { name: 'web-1', labels: { a: 'b' } });
    const engine = engineAt(path);
    expect(await engine.list()).toEqual([{ id: 'f00d', name: 'web-1', labels: { a: 'b' }, state: 'running' }]);
    expect(await engine.inspect('f00d')).toMatchObject({ name: 'web-1', phase: 'running' });
    expect(await engine.inspect('beef')).toBeUndefined();
    expect(await engine.kill('beef', 'TERM')).toBe(false);
    expect(await engine.stop('f00d')).toBe('stopped');
  });

  test.each(['', '.', '..', 'a b/../c', 'f00d/../f00d', '-f', 'a?b'])('has no container %j', async (name) => {
    const path = join(dir, 'engine.sock');
    const server = await startEngineServer(path);
    server.put('f00d', { name: 'web-1' });
    expect(await engineAt(path).inspect(name)).toBeUndefined();
    expect(server.requests).toEqual([]);
  });

  test('that does not run is named with what to look at', async () => {
    const path = join(dir, 'none.sock');
    await expect(engineAt(path).list()).rejects.toMatchObject({
      code: 'engine',
      where: `unix://${path}`,
      hint: 'does the engine run, and is this its socket?',
    });
  });

  test('behind a proxy that refuses a request is told apart from one that is away', async () => {
    const path = join(dir, 'engine.sock');
    const server = await startEngineServer(path, { forbidden: ['POST'] });
    server.put('f00d', { name: 'web-1' });
    await expect(engineAt(path).stop('f00d')).rejects.toMatchObject({
      message: 'the engine answered 403 to POST /containers/f00d/stop: not allowed',
      hint: 'a socket proxy, or an authorization plugin, does not allow it',
    });
  });

  test('that is something else is refused', async () => {
    const path = join(dir, 'other.sock');
    const server = createServer((_, response) => response.end('<html>'));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    try {
      await expect(engineAt(path).list()).rejects.toThrow("the answer to GET /containers/json is not an engine's");
    } finally {
      server.close();
    }
  });

  test('tells the kills that happened before its stream of events opened', async () => {
    const path = join(dir, 'engine.sock');
    const server = await startEngineServer(path);
    server.send('f00d', 'kill', { signal: '23' });
    server.send('f00d', 'die');
    const opened = new AbortController();
    const engine = engineAt(path);
    let openedAt = 0;
    const onOpen = (facts: EngineFacts) => {
      openedAt = facts.openedAt;
      opened.abort();
    };
    await engine.events({ onOpen, onEvent: () => undefined }, opened.signal);
    const { signal } = new AbortController();
    const kill = { container: 'f00d', action: 'kill', signal: 23 };
    expect(await engine.pastKills(openedAt, signal)).toEqual([expect.objectContaining(kill)]);
    expect(await engine.pastKills(openedAt - 60_000, signal)).toEqual([]);
  });

  test.each([
    ['refuses', 'refused', /^the engine answered 403 to GET \/events: not allowed$/],
    ['never completes', 'never complete', /^the engine did not answer within 3 s$/],
  ] as const)('whose proxy %s a request for past events says so soon', async (_, past, message) => {
    const path = join(dir, 'engine.sock');
    await startEngineServer(path, { past });
    const asked = engineAt(path).pastKills(Date.now(), new AbortController().signal);
    await expect(asked).rejects.toMatchObject({ code: 'engine', message: expect.stringMatching(message) });
  });

  test('whose stream of events ends tells so, and one that is left does not', async () => {
    const path = join(dir, 'engine.sock');
    const server = await startEngineServer(path);
    const handlers = { onOpen: () => server.cut(), onEvent: () => undefined };
    await expect(engineAt(path).events(handlers, new AbortController().signal)).rejects.toMatchObject({
      code: 'engine',
    });
    const left = new AbortController();
    await expect(
      engineAt(path).events({ ...handlers, onOpen: () => left.abort() }, left.signal),
    ).resolves.toBeUndefined();
  });
});
