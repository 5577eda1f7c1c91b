import fc from 'fast-check';
import { expect, test } from 'vitest';
import { revision } from '../model/revision.ts';
import type { Change, RegistryEvent } from '../registry/registry.ts';
import { emptyCatalog } from './catalog.ts';
import { foldEvent } from './fold-event.ts';
import { leanEvent } from './lean.ts';
import { defaultCatalogLimits, rejecting } from './limits.ts';

const at = revision(1n);
const reject = rejecting(defaultCatalogLimits);

function eventOf(tree: Readonly<Record<string, string>>): RegistryEvent {
  const changes = Object.entries(tree).map(
    ([key, value]): Change => ({ kind: 'put', entry: { key, value, revision: at, leased: true } }),
  );
  return { kind: 'changes', revision: at, changes };
}

const lean = (tree: Readonly<Record<string, string>>): readonly (readonly [string, string | undefined])[] => {
  const event = leanEvent(eventOf(tree), reject);
  const changes = event.kind === 'changes' ? event.changes : [];
  return changes.flatMap((one) => (one.kind === 'put' ? [[one.entry.value, one.entry.rejected] as const] : []));
};

test('of an instance only what is known stays in memory, and of what is refused the reason', () => {
  const long = 'x'.repeat(10_000);
  expect(lean({ 'instances/web/a': `{"address":"10.0.0.1:80","weight":5,"unknown":"${long}"}` })).toEqual([
    ['{"address":"10.0.0.1","port":80,"weight":5}', undefined],
  ]);
  expect(lean({ 'instances/web/a': `10.0.0.1:80${' '.repeat(10_000)}` })).toEqual([
    ['{"address":"10.0.0.1","port":80}', undefined],
  ]);
  // One wide character among what is not known would double what the rest takes.
  const meta = `{"a":"${'x'.repeat(256)}","b":"${'x'.repeat(256)}"}`;
  expect(lean({ 'instances/web/a': `{"address":"10.0.0.1:80","\u0416":1,"meta":${meta}}` })).toEqual([
    [`{"address":"10.0.0.1","port":80,"meta":${meta}}`, undefined],
  ]);
  expect(lean({ 'instances/web/a': long })).toEqual([['', expect.stringContaining('is not')]]);
  expect(lean({ 'services/web': `{"hostz":"${long}"}` })).toEqual([['', '"hostz" is not a field of a policy']]);
  expect(lean({ [`rubbish/web`]: long })).toEqual([['', expect.stringContaining('not one of instances/')]]);
  expect(lean({ 'instances/web/a': 'x'.repeat(70_000) })).toEqual([
    ['', 'its value has 70000 bytes, more than 65536 (--limit-value)'],
  ]);
  expect(lean({ 'keys/free': 'x'.repeat(70_000) })).toEqual([['x'.repeat(70_000), undefined]]);
});

test('what is served and refused is the same with the whole values', () => {
  const padding = fc.constantFrom('', ' '.repeat(600));
  const value = fc
    .record(
      {
        address: fc.constantFrom('10.0.0.1:80', '[::1]:80', 'app.example:80', '10.0.0.1', 'a b'),
        port: fc.constantFrom(80, 70_000),
        weight: fc.constantFrom(0, 100, 300),
        state: fc.constantFrom('ready', 'draining', 'gone'),
        meta: fc.constantFrom({}, { note: 'x'.repeat(200) }),
        at: fc.constantFrom(1, 'x'),
        unknown: fc.constantFrom('y'.repeat(600), { deep: [1] }),
        kind: fc.constantFrom('drain', 'pause'),
        hosts: fc.constantFrom(['shop.example'], 'shop.example'),
      },
      { requiredKeys: [] },
    )
    .map((record) => JSON.stringify(record));
  const key = fc.constantFrom('instances/web/a', 'services/web', 'overrides/web/a', 'overrides/web/*', 'rubbish');
  fc.assert(
    fc.property(key, value, padding, (name, text, more) => {
      const event = eventOf({ [name]: text + more });
      const [whole, short] = [event, leanEvent(event, reject)].map((one) => foldEvent(emptyCatalog, one).catalog);
      expect(short?.services.toJS()).toEqual(whole?.services.toJS());
      expect(short?.overrides.toJS()).toEqual(whole?.overrides.toJS());
      expect(short?.rejected.toJS()).toEqual(whole?.rejected.toJS());
      expect(leanEvent(leanEvent(event, reject), reject)).toEqual(leanEvent(event, reject));
    }),
    { numRuns: 1000 },
  );
});
