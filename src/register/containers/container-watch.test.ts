import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { containerOf } from '../../../test/support/containers.ts';
import { until } from '../../../test/support/until.ts';
import type { Container, EngineEvent } from '../../engine/container.ts';
import type { EngineApi, EventHandlers } from '../../engine/engine-api.ts';
import { aborted } from '../../waiting/time-limit.ts';
import { ContainerWatch } from './container-watch.ts';
import { EngineRecord } from './engine-record.ts';

const labels = { 'pointsman.service': 'web' };
const startedAt = '2026-01-01T00:00:00Z';
const id = containerOf().id;
const kill = (signal: number, second = 10): EngineEvent => ({
  ...{ action: 'kill', container: id, signal, exitCode: undefined, health: undefined },
  timeNano: String((Date.parse(startedAt) + second * 1000) * 1e6),
});

const ownId = 'a9e47000';
const inspectsNone = async (): Promise<Container | undefined> => undefined;

/** The watch of an engine with one container, whose answers a test decides. */
function start(
  pastKills: EngineApi['pastKills'],
  { announcesStops = true, state = 'running', own = inspectsNone } = {},
) {
  const logged: { readonly event: string }[] = [];
  const streams: { readonly handlers: EventHandlers; readonly cut: () => void }[] = [];
  let container: Container = containerOf({ labels, startedAt });
  let inspections = 0;
  const refuse = () => Promise.reject(new Error('it only reads'));
  const engine: EngineApi = {
    ...{ location: 'unix:///engine.sock', kill: refuse, stop: refuse, remove: refuse, pastKills },
    list: async ({ all = false } = {}) => (state === 'running' || all ? [{ id, name: 'web-1', labels, state }] : []),
    inspect: async (asked) => {
      if (asked === ownId) return own();
      inspections += 1;
      return container;
    },
    events: (handlers, signal) =>
      new Promise((resolve, reject) => {
        streams.push({ handlers, cut: () => reject(new Error('the stream was cut')) });
        void aborted(signal).then(resolve);
        handlers.onOpen({ announcesStops, openedAt: Date.parse(startedAt) + 60_000 });
      }),
  };
  const logger = pino({}, { write: (line: string) => void logged.push(JSON.parse(line)) });
  const watch = new ContainerWatch({
    engine,
    logger,
    record: new EngineRecord(() => performance.now()),
    ownId,
    random: () => 0,
    onChange: () => undefined,
  });
  onTestFinished(() => watch.stop());
  watch.begin();
  return {
    streams,
    logged,
    become: (fields: Partial<Container>) => {
      container = containerOf({ labels, startedAt, ...fields });
    },
    inspections: () => inspections,
    stage: () => watch.seen.get(id)?.stage,
    ownContainer: () => watch.ownContainer,
    isConnected: () => until('it follows', () => logged.some(({ event }) => event === 'engine-connected')),
  };
}

test('an agent that starts knows who was asked to end before it counts a container as running', async () => {
  let answer: (events: readonly EngineEvent[]) => void = () => undefined;
  const past = new Promise<readonly EngineEvent[]>((resolve) => {
    answer = resolve;
  });
  const { inspections, stage, streams, isConnected } = start(() => past);
  await until('the stream is open', () => streams.length === 1);
  streams[0]?.handlers.onEvent({ ...kill(1), action: 'start' });
  await until('the container is inspected', () => inspections() > 0);
  await new Promise(setImmediate);
  expect(stage()).toBeUndefined();
  answer([kill(15)]);
  await isConnected();
  expect(stage()).toBe('ending');
});

test('a kill that comes before the container is read counts', async () => {
  const { stage, streams, isConnected } = start(async () => {
    await new Promise(setImmediate);
    streams[0]?.handlers.onEvent(kill(15));
    return [];
  });
  await isConnected();
  expect(stage()).toBe('ending');
});

test('after a cut of the stream the kills of the meantime count', async () => {
  let past: readonly EngineEvent[] = [];
  const { stage, streams, isConnected } = start(async () => past);
  await isConnected();
  expect(stage()).toBe('up');
  past = [kill(15)];
  streams[0]?.cut();
  await until('it ends', () => stage() === 'ending');
});

test('a kill of the next run counts, though its event came before the inspection', async () => {
  const { stage, streams, isConnected, become } = start(async () => []);
  await isConnected();
  streams[0]?.handlers.onEvent(kill(15));
  become({ startedAt: '2026-01-01T00:00:20Z', stopSignal: 23 });
  for (const event of [{ ...kill(0), action: 'die' }, { ...kill(0, 20), action: 'start' }, kill(23, 21)]) {
    streams[0]?.handlers.onEvent(event);
  }
  await until('the next run leaves', () => stage() === 'leaving');
});

test('an engine that does not tell past events is followed all the same, and the log says so once', async () => {
  const { stage, streams, isConnected, logged } = start(() => Promise.reject(new Error('not allowed')));
  await isConnected();
  expect(stage()).toBe('up');
  streams[0]?.cut();
  await until('it follows again', () => logged.filter(({ event }) => event === 'engine-connected').length === 2);
  const unread = logged.filter(({ event }) => event === 'past-events-unread');
  expect(unread).toEqual([expect.objectContaining({ reason: 'not allowed' })]);
});

test('podman is asked for no past events, and for what is stopping', async () => {
  const past = () => Promise.reject(new Error('podman was asked'));
  const { stage, isConnected, become, logged } = start(past, { announcesStops: false, state: 'stopping' });
  become({ phase: 'stopping' });
  await isConnected();
  expect(stage()).toBe('ending');
  expect(logged.map(({ event }) => event)).toEqual(['engine-connected']);
});

test('an agent in a container learns so before it reads the first one, however often the engine refuses', async () => {
  let asked = 0;
  const own = async () => {
    asked += 1;
    if (asked === 1) throw new Error('a gateway timed out');
    return containerOf({ id: ownId, name: 'agent' });
  };
  const { ownContainer, stage, logged, isConnected } = start(async () => [], { own });
  await until('it was refused', () => logged.some(({ event }) => event === 'engine-unavailable'));
  expect(stage()).toBeUndefined();
  await isConnected();
  expect(ownContainer()).toEqual({ id: ownId, name: 'agent' });
});

test.each([
  ['that the engine does not have', undefined],
  ['with the network of its host', containerOf({ id: ownId, networkMode: 'host' })],
])('an agent in a container %s announces the ports of this machine', async (_, own) => {
  const { ownContainer, isConnected } = start(async () => [], { own: async () => own });
  await isConnected();
  expect(ownContainer()).toBeUndefined();
});
