import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Map as PersistentMap } from 'immutable';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../../../test/support/until.ts';
import { emptyCatalog } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import { parseServerLine } from '../../haproxy/server-line.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { revision } from '../../model/revision.ts';
import { nothingRendered } from '../../render/rendered.ts';
import { FirstChecks } from './first-checks.ts';
import { UnprovenServers } from './unproven-servers.ts';

/** Accepts connections and says nothing. */
async function startSilent() {
  let accepted = 0;
  const server = createServer((socket) => {
    accepted += 1;
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, accepted: () => accepted };
}

function firstChecks(keys: Readonly<Record<string, string>>) {
  const entries = Object.entries(keys).map(
    ([key, value]) => [key, { key, value, revision: revision(1n), leased: true }] as const,
  );
  const snapshot = { kind: 'snapshot', history: { kind: 'first' }, cluster: '', revision: revision(1n) } as const;
  const { catalog } = foldEvent(emptyCatalog, { ...snapshot, entries: new Map(entries) });
  const raised: string[] = [];
  const lines: string[] = [];
  const unproven = new UnprovenServers({
    serverStates: async () => new Map(),
    onChange: () => undefined,
    logger: pino({ level: 'silent' }),
  });
  onTestFinished(() => unproven.close());
  const checks = new FirstChecks({
    unproven,
    raise: async (service, id) => void raised.push(`${service}/${id}`),
    isLoading: () => false,
    pemFolder: '/',
    logger: pino({}, { write: (line: string) => void lines.push(line) }),
    now: () => performance.now(),
  });
  onTestFinished(() => checks.close());
  const newcomers = Object.keys(keys)
    .filter((key) => key.startsWith('instances/'))
    .map((key) => {
      const [, service, id] = key.split('/');
      return { service: service as ServiceName, id: id as InstanceId, line: `server ${id} 127.0.0.1:1 check` };
    });
  checks.onApplied(new Map(), catalog, nothingRendered, newcomers);
  return { raised, lines, checks };
}

const manyAt = (address: string, count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`instances/evil/i${i}`, address]));
const slow = '{"check":{"kind":"http","interval":"1h","timeout":"1h"}}';

test('instances of one service that never answer do not delay the first check of another', async () => {
  const silent = await startSilent();
  const given = { ...manyAt(silent.address, 900), 'services/evil': slow, 'instances/web/a': silent.address };
  const { raised } = firstChecks(given);
  await until('the other service has been checked', () => raised.includes('web/a'));
  expect(raised).toEqual(['web/a']);
  expect(silent.accepted()).toBeLessThanOrEqual(17);
});

test('of one service at most 1000 wait, and it is told who does not', async () => {
  const silent = await startSilent();
  const { lines } = firstChecks({ ...manyAt(silent.address, 1003), 'services/evil': slow });
  const left = lines.map((line) => JSON.parse(line) as { event: string; key: string });
  expect(left.map(({ event, key }) => [event, key])).toEqual(
    [1000, 1001, 1002].map((i) => ['first-check-left', `instances/evil/i${i}`]),
  );
});

test("an instance whose certificate has to be of one of the system's authorities is left to HAProxy, which knows them", async () => {
  const silent = await startSilent();
  const given = { 'instances/web/a': silent.address, 'services/web': '{"tls":{"name":"web.internal"}}' };
  const { raised, lines } = firstChecks(given);
  await until('it is told', () => lines.length > 0);
  expect(lines.map((line) => JSON.parse(line).event)).toEqual(['first-check-left']);
  expect([raised, silent.accepted()]).toEqual([[], 0]);
});

test('an instance that fails its first check and then passes one is told of twice', async () => {
  let passes = false;
  const server = createServer((socket) => void socket.end(`HTTP/1.1 ${passes ? 200 : 503} x\r\n\r\n`));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const check = '{"check":{"kind":"http","interval":"1m"}}';
  const { raised, lines } = firstChecks({ 'instances/web/a': address, 'services/web': check });
  const events = () => lines.map((line) => JSON.parse(line).event as string);
  await until('it has failed', () => events().includes('first-check-failed'));
  passes = true;
  await until('it is told that it passes', () => events().includes('first-check-passed'));
  expect(raised).toEqual(['web/a']);
  expect(events()).toEqual(['first-check-failed', 'first-check-passed']);
});

test('a check of the former address does not raise a server that HAProxy is being given another address for', async () => {
  const requested: Socket[] = [];
  const server = createServer((socket) => void requested.push(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const given = { 'instances/web/a': address, 'instances/web/b': address, 'services/web': slow };
  const { raised, checks } = firstChecks(given);
  await until('both are asked', () => requested.length === 2);
  const moved = parseServerLine('server a 127.0.0.1:2 check');
  if (moved === undefined) throw new Error('a test has good lines');
  const steps = [{ kind: 'set-address', backend: 'web', server: moved, checkFirst: true }] as const;
  checks.giving(steps, nothingRendered, nothingRendered);
  for (const socket of requested) socket.end('HTTP/1.1 200 x\r\n\r\n');
  await until('the other is raised', () => raised.includes('web/b'));
  expect(raised).toEqual(['web/b']);
});

test('a server that waits is raised before the steps that take all others away, and not where another one stays', async () => {
  const silent = await startSilent();
  const { raised, checks } = firstChecks({ 'instances/web/a': silent.address, 'services/web': slow });
  const serving = (...ids: readonly string[]) => {
    const web = 'web' as ServiceName;
    const servers = PersistentMap(ids.map((id) => [id as InstanceId, `server ${id} 127.0.0.1:1 check`]));
    const section = { before: '', indent: '', after: '' };
    return { ...nothingRendered, backends: PersistentMap([[web, { name: web, section, servers }]]) };
  };
  const leaving = (name: string) => ({ kind: 'remove-server', backend: 'web', name }) as const;
  checks.giving([leaving('b')], serving('a', 'b', 'c'), serving('a', 'c'));
  expect(raised).toEqual([]);
  checks.giving([leaving('b'), leaving('c')], serving('a', 'b', 'c'), serving('a'));
  expect(raised).toEqual(['web/a']);
});
