import { expect, test } from 'vitest';
import { type TroublePart, type TroubleStatus, troubleParts } from './observe/troubles.ts';
import { describeServing, keepStatus, type ServingState } from './service-status.ts';

const trouble = (part: TroublePart, reason: string, sinceMs = 5000): TroubleStatus => ({
  ...{ part, reason, sinceMs, failures: 1 },
  ...troubleParts[part],
});
const inUse = trouble('reload', 'HAProxy cannot listen on 127.0.0.1:9000: it is in use', 0);

test('the status names an address only when HAProxy has loaded it', () => {
  const text = (baseWaits: boolean, ...troubles: TroubleStatus[]) =>
    describeServing('127.0.0.1:9000', { baseWaits, troubles }, troubles);
  expect(text(false)).toBe('serves on http://127.0.0.1:9000');
  expect(text(true)).toBe('serves the settings of before; a reload waits');
  expect(text(true, inUse)).toBe(
    'serves the settings of before; a necessary reload fails or waits for the disk: HAProxy cannot listen on 127.0.0.1:9000: it is in use',
  );
  expect(text(false, inUse)).toMatch(/^not ready; a necessary reload/);
});

test('the service manager hears that the service is started when HAProxy has loaded the settings, or cannot', async () => {
  const said: string[] = [];
  const ending = new AbortController();
  const start = (states: ServingState[]) =>
    keepStatus({
      manager: { started: (text) => said.push(text), says: () => undefined, stopping: () => undefined },
      bind: '127.0.0.1:80',
      state: () => (states.length > 1 ? states.shift() : states[0]) ?? { baseWaits: false, troubles: [] },
      signal: ending.signal,
    });
  const waits = { baseWaits: true, troubles: [] };
  await start([waits, waits, { baseWaits: false, troubles: [] }]);
  await start([waits, { baseWaits: true, troubles: [inUse] }]);
  ending.abort();
  expect(said).toEqual(['serves on http://127.0.0.1:80', expect.stringContaining('cannot listen on 127.0.0.1:9000')]);
});
