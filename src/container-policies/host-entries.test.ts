import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { LabelPolicy } from '../model/label-policy.ts';
import { parseServiceName, type ServiceName } from '../model/name.ts';
import { revision } from '../model/revision.ts';
import type { Entry, SessionEvent } from '../registry/registry.ts';
import { HostEntries } from './host-entries.ts';

const web = parseServiceName('web');
if (!web.ok) throw new Error(web.reason);
const key = 'labels/web/node7';
const asks = (container: string): ReadonlyMap<ServiceName, LabelPolicy> =>
  new Map([[web.value, { policy: '{}', container, created: 1, announced: true, against: [] }]]);
const present = (...keys: readonly string[]): ReadonlyMap<string, Entry> =>
  new Map(keys.map((one) => [one, { key: one, value: '{}', revision: revision('1'), leased: true }]));

/** The entries of a host whose registry another agent writes to as well. */
function start() {
  const writes: string[] = [];
  const logged: { readonly event: string; readonly msg: string }[] = [];
  let report: (event: SessionEvent) => void = () => undefined;
  const session = {
    put: async (_: string, value: string) => {
      writes.push(`put ${JSON.parse(value).container}`);
      return revision('1');
    },
    remove: async () => {
      writes.push('remove');
      return undefined;
    },
    close: async () => undefined,
  };
  const entries = new HostEntries({
    registry: {
      openSession: ({ onEvent }) => {
        report = onEvent;
        return session;
      },
    },
    logger: pino({}, { write: (line: string) => void logged.push(JSON.parse(line)) }),
    host: 'node7',
    ttlMs: 10_000,
  });
  const written = async () => {
    await new Promise(setImmediate);
    return writes.splice(0);
  };
  return { entries, written, logged, take: () => report({ kind: 'taken', key, holder: '{}' }) };
}

test('an entry that another agent of the same host name replaced is put again when that agent has ended', async () => {
  const { entries, written, logged, take } = start();
  entries.update(asks('web-1'));
  entries.follow(present(key));
  expect(await written()).toEqual(['put web-1']);
  take();
  entries.update(asks('web-2'));
  entries.follow(present(key, 'labels/web/node8'));
  expect(await written()).toEqual([]);
  entries.follow(present('labels/web/node8'));
  expect(await written()).toEqual(['put web-2']);
  take();
  expect(logged).toEqual([expect.objectContaining({ event: 'labels-taken', key, host: 'node7' })]);
  expect(logged[0]?.msg).toContain('two machines have the host name node7');
});

test('an entry is put again also when the other agent ended before anybody noticed it', async () => {
  const { entries, written, take } = start();
  entries.update(asks('web-1'));
  entries.follow(present());
  expect(await written()).toEqual(['put web-1']);
  take();
  expect(await written()).toEqual(['put web-1']);
});

test('an entry that no container asks for any more is not put again', async () => {
  const { entries, written, take } = start();
  entries.update(asks('web-1'));
  entries.follow(present(key));
  take();
  entries.update(new Map());
  entries.follow(present());
  expect(await written()).toEqual(['put web-1', 'remove']);
});
