import { pino } from 'pino';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { EngineApi } from '../../engine/engine-api.ts';
import { aborted } from '../../waiting/time-limit.ts';
import { ContainerWatch } from './container-watch.ts';
import { EngineRecord } from './engine-record.ts';

test('an engine that answers again is followed again, although its stream of events was never cut', async () => {
  let hangs = false;
  const never = () => Promise.reject(new Error('not asked'));
  const engine: EngineApi = {
    location: 'unix:///s',
    list: () => (hangs ? Promise.reject(new Error('no answer within 10 s')) : Promise.resolve([])),
    inspect: never,
    // podman is asked every half second.
    events: ({ onOpen }, signal) => {
      onOpen({ announcesStops: false } as Parameters<typeof onOpen>[0]);
      return aborted(signal);
    },
    kill: never,
    stop: never,
    remove: never,
  } as Partial<EngineApi> as EngineApi;
  const record = new EngineRecord(() => performance.now());
  const watch = new ContainerWatch({ engine, record, logger: pino({ enabled: false }), ownId: undefined, random: () => 0, onChange: () => undefined }); // biome-ignore format: one object
  onTestFinished(() => watch.stop());
  watch.begin();
  const reasonIs = (reason: string | undefined) =>
    vi.waitFor(() => expect(record.state.reason).toBe(reason), { timeout: 20_000 });
  await reasonIs(undefined);
  hangs = true;
  await reasonIs('no answer within 10 s');
  hangs = false;
  await reasonIs(undefined);
  expect(record.state.losses).toBe(1);
});
