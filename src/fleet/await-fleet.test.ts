import { describe, expect, test } from 'vitest';
import { revision } from '../model/revision.ts';
import { describeFailure, describeProgress, isReached, isSettled, progressOf } from './await-fleet.ts';
import { emptyFleet, type FleetView, foldFleet } from './fleet-view.ts';

const acknowledgement = (at: string, more: object = {}) =>
  JSON.stringify({ format: 1, revision: at, cluster: 'c', owner: 'o', version: '1', ...more });

function fleet(balancers: Readonly<Record<string, string>>): FleetView {
  const entries = Object.entries(balancers).map(([id, value]) => {
    const key = `balancers/${id}`;
    return [key, { key, value, revision: revision(1n), leased: true }] as const;
  });
  return foldFleet(emptyFleet, {
    ...{ kind: 'snapshot', revision: revision(9n), cluster: 'c', history: { kind: 'first' } },
    entries: new Map(entries),
  });
}

const written = { revision: revision(7n), keys: new Set(['services/web', 'instances/api/a', 'keys/x']) };
const of = (balancers: Readonly<Record<string, string>>) => progressOf(fleet(balancers), written);

describe('what was written is awaited', () => {
  test('until every live balancer has acknowledged the revision', () => {
    expect(isReached(of({ a: acknowledgement('7'), b: acknowledgement('8') }))).toBe(true);
    const behind = of({ a: acknowledgement('7'), b: acknowledgement('6'), c: acknowledgement('0') });
    expect(isReached(behind)).toBe(false);
    expect(describeProgress(behind)).toBe('b is at revision 6; c has started and serves nothing yet');
    expect(describeProgress(of({ a: acknowledgement('9', { cluster: 'old' }) }))).toContain('a has not followed');
    expect(describeProgress(of({ a: 'nonsense' }))).toContain('a cannot tell');
  });

  test('of nobody when no balancer is alive, and not before the registry has answered', () => {
    expect(isReached(of({}))).toBe(true);
    expect(isReached(progressOf(emptyFleet, written))).toBe(false);
    expect(describeProgress(progressOf(emptyFleet, written))).toContain('it has not answered yet');
  });

  test('and a balancer that refuses one of the keys, or more keys than it names, does not serve it', () => {
    const refusing = (...keys: readonly string[]) =>
      of({ a: acknowledgement('7', { refusals: keys.map((key) => ({ key, reason: 'no' })) }) });
    expect(describeProgress(refusing('services/web'))).toBe('a refuses services/web: no');
    expect(describeProgress(refusing('instances/web/*', 'instances/web/b'))).toBe('a refuses services/web: no');
    expect(describeProgress(refusing('instances/api/*'))).toBe('a refuses instances/api/a: no');
    expect(isReached(refusing('services/other', 'instances/api/b', 'instances/other/*'))).toBe(true);
    expect(isReached(of({ a: acknowledgement('7', { untold: { other: 3 } }) }))).toBe(true);
    expect(describeProgress(of({ a: acknowledgement('7', { untold: { web: 3 } }) }))).toContain('refuses 3 or more');
    expect(describeProgress(of({ a: acknowledgement('7', { unrouted: { web: 'api has its hosts' } }) }))).toBe(
      'a refuses services/web: no request reaches web: api has its hosts',
    );
  });

  test('and more refusals than a balancer names may be about a certificate, but not about a free value', () => {
    const untold = fleet({ a: acknowledgement('7', { untold: { '': 3 } }) });
    const certificate = { ...written, keys: new Set(['certificates/shop.example.com']) };
    expect(describeProgress(progressOf(untold, certificate))).toContain('refuses 3 or more');
    expect(isReached(progressOf(untold, { ...written, keys: new Set(['keys/x']) }))).toBe(true);
  });

  test('no longer than until every balancer has acknowledged it and waiting does not help', () => {
    const refusing = (...refusals: readonly object[]) =>
      acknowledgement('7', { refusals: refusals.map((more) => ({ key: 'services/web', reason: 'no', ...more })) });
    const final = { final: true };
    expect(isSettled(of({ a: refusing(final), b: acknowledgement('7') }))).toBe(true);
    expect(isSettled(of({ a: acknowledgement('7', { unrouted: { web: 'api has its hosts' } }) }))).toBe(true);
    expect(describeFailure(of({ a: refusing(final) }), 3000)).toBe(
      'it is written, and not served by every balancer: a refuses services/web: no',
    );
    expect(describeFailure(of({ a: refusing(final) }), 3000, 'services/web')).toMatch(
      /^services\/web is written, and not/,
    );
    // A delayed reload, or a balancer of a version that does not tell.
    expect(isSettled(of({ a: refusing({}), b: refusing(final) }))).toBe(false);
    expect(isSettled(of({ a: refusing(final, { key: 'instances/web/*' }) }))).toBe(false);
    expect(isSettled(of({ a: refusing(final), b: acknowledgement('6') }))).toBe(false);
    expect(isSettled(of({ a: acknowledgement('7', { untold: { web: 3 } }) }))).toBe(false);
    expect(describeFailure(of({ a: refusing({}) }), 3000)).toContain('every balancer after 3s: a refuses');
  });
});
