import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Catalog, emptyCatalog } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import { defaultCatalogLimits } from '../../catalog/limits.ts';
import { policyKey } from '../../model/key.ts';
import type { ServiceName } from '../../model/name.ts';
import { revision } from '../../model/revision.ts';
import { loadTemplates } from '../../render/load-templates.ts';
import { nothingRendered } from '../../render/rendered.ts';
import { mayBeQuarantined } from './candidates.ts';
import { noQuarantine, type Quarantine, type Requested, withOffenders } from './quarantine.ts';
import { proven, review, tryAgain } from './review.ts';

const web = 'web' as ServiceName;
const templates = await loadTemplates(join(import.meta.dirname, '../../../templates'), undefined);

/** What is asked for when `web` has a policy with this maxconn, one after the other; undefined: it is not there. */
function history(...maxconns: readonly (number | undefined)[]): readonly Requested[] {
  let catalog: Catalog = emptyCatalog;
  return maxconns.map((maxconn, i) => {
    const at = revision(BigInt(i + 1));
    const key = 'services/web';
    const change =
      maxconn === undefined
        ? ({ kind: 'delete', key, revision: at } as const)
        : ({ kind: 'put', entry: { key, value: `{"maxconn":${maxconn}}`, revision: at, leased: false } } as const);
    catalog = foldEvent(catalog, { kind: 'changes', revision: at, changes: [change] }, defaultCatalogLimits).catalog;
    return { catalog, templates };
  });
}

const holdWeb = (quarantine: Quarantine, requested: Requested): Quarantine =>
  withOffenders(quarantine, new Map([[policyKey(web), 'refused']]), {
    requested,
    desired: nothingRendered,
    served: nothingRendered,
  });
const formOf = (quarantine: Quarantine) => quarantine.services.get(web)?.form?.policy.maxconn;
const [nothing, bad, mended, badAgain] = history(undefined, 1, 2, 3);
const good = (requested: Requested) => proven(noQuarantine, requested);

test('a policy that was left out of a reload has no good form after it, although it changed while HAProxy loaded', () => {
  if (!nothing || !bad || !mended || !badAgain) throw new Error('no history');
  const then = holdWeb(good(nothing), bad);
  const changed = review(then, mended).quarantine;
  const after = proven(changed, bad, then);
  expect([...after.onTrial.keys()]).toEqual(['web']);
  const held = holdWeb(after, badAgain);
  expect([held.services.has(web), formOf(held)]).toEqual([true, undefined]);
});

test('nor has it one when it was deleted and put again meanwhile', () => {
  const [first, refused, gone, again] = history(undefined, 1, undefined, 2);
  if (!first || !refused || !gone || !again) throw new Error('no history');
  const then = holdWeb(good(first), refused);
  const after = proven(review(then, gone).quarantine, refused, then);
  expect(formOf(holdWeb(after, again))).toBeUndefined();
});

test('a policy that was loaded is the good form of the ones after it', () => {
  if (!nothing || !bad || !mended || !badAgain) throw new Error('no history');
  const then = review(holdWeb(good(nothing), bad), mended).quarantine;
  const after = proven(then, mended, then);
  expect(after.onTrial.size).toBe(0);
  expect(formOf(holdWeb(after, badAgain))).toBe(2);
});

test('a service in its last good form keeps that form over reloads', () => {
  const [first, refused, other, more] = history(1, 2, 3, 4);
  if (!first || !refused || !other || !more) throw new Error('no history');
  const then = holdWeb(good(first), refused);
  const after = proven(review(then, other).quarantine, refused, then);
  expect(formOf(holdWeb(after, more))).toBe(1);
});

test('a service whose last good form is refused as well is left out, although it was held in that form before', () => {
  const [first, refused] = history(1, 2);
  if (!first || !refused) throw new Error('no history');
  const rendered = { desired: nothingRendered, served: nothingRendered };
  const held = holdWeb(good(first), refused);
  const build = { requested: refused, ...rendered, cold: true };
  expect([formOf(held), mayBeQuarantined(held, build, web)]).toEqual([1, false]);
  expect(mayBeQuarantined(held, { ...build, leaveOut: true }, web)).toBe(true);
  const out = withOffenders(held, new Map([[policyKey(web), 'its port']]), { ...build, leaveOut: true });
  expect(out.services.get(web)).toMatchObject({ form: undefined, reason: 'its port' });
  expect(mayBeQuarantined(out, { ...build, leaveOut: true }, web)).toBe(false);
});

describe('a service whose versions were refused more than once lately', () => {
  const alone = new Map([[web, 'refused twice']]);
  const [first, refused, newer, newest] = history(1, 2, 3, 4);
  if (!first || !refused || !newer || !newest) throw new Error('no history');

  test('keeps its last good form when it changes, until the newest version was checked', () => {
    const held = holdWeb(good(first), refused);
    const waiting = review(held, newer, alone);
    expect([waiting.services, formOf(waiting.quarantine)]).toEqual([[], 1]);
    expect(waiting.quarantine.services.get(web)?.reason).toBe('refused twice');
    const checked = tryAgain(waiting.quarantine, new Set([web]), newer);
    expect(review(checked, newer, alone).quarantine.services.size).toBe(0);
    // One that changes again was not checked.
    expect(formOf(review(checked, newest, alone).quarantine)).toBe(1);
  });

  test('goes back to its last good form when it changes, although HAProxy took the version before', () => {
    const back = review(good(first), newer, alone);
    expect([back.services, formOf(back.quarantine)]).toEqual([['web'], 1]);
    expect(review(good(first), first, alone).quarantine.services.size).toBe(0);
  });

  test('has the version that was loaded as its last good form, when it changes while HAProxy loads it', () => {
    const then = tryAgain(holdWeb(good(first), refused), new Set([web]), newer);
    const changed = review(then, newest, alone).quarantine;
    expect(formOf(proven(changed, newer, then))).toBe(3);
  });
});
