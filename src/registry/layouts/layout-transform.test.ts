import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Parsed } from '../../model/parsed.ts';
import { revision } from '../../model/revision.ts';
import type { Change, Entry, RegistryEvent } from '../registry.ts';
import { knownLayouts } from './known-layouts.ts';
import { compileLayout, type Layout, type LayoutDeclaration } from './layout.ts';
import { LayoutTransform } from './layout-transform.ts';

function must<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
}

const compile = (declaration: LayoutDeclaration) => must(compileLayout(declaration));

describe('events of a foreign tree', () => {
  const skydns = compile(knownLayouts.skydns);
  const json = (port: number) => `{"host":"10.0.0.1","port":${port}}`;
  const entry = (key: string, value: string, at: number): Entry => ({
    key,
    value,
    revision: revision(BigInt(at)),
    leased: true,
  });
  const put = (key: string, value: string, at: number): Change => ({ kind: 'put', entry: entry(key, value, at) });
  const gone = (key: string, at: number): Change => ({ kind: 'delete', key, revision: revision(BigInt(at)) });
  const changes = (...list: readonly Change[]): RegistryEvent => {
    const last = list.at(-1);
    const at = last === undefined ? revision(0n) : last.kind === 'put' ? last.entry.revision : last.revision;
    return { kind: 'changes', revision: at, changes: list };
  };
  const snapshot = (at: number, ...entries: readonly Entry[]): RegistryEvent => ({
    kind: 'snapshot',
    history: { kind: 'first' },
    revision: revision(BigInt(at)),
    cluster: 'c',
    entries: new Map(entries.map((one) => [one.key, one])),
  });

  test('become events of our own, revision by revision', () => {
    const transform = new LayoutTransform(skydns);
    const first = transform.take(
      snapshot(5, entry('web/x1', json(1), 3), entry('dns/ns', '{}', 4), entry('web/bad', '{"host":7}', 5)),
    );
    expect(first.event).toMatchObject({ kind: 'snapshot', revision: 5n, cluster: 'c' });
    expect(first.event.kind === 'snapshot' && [...first.event.entries.values()]).toEqual([
      { key: 'instances/web/x1', value: '{"address":"10.0.0.1","port":1}', revision: 3n, leased: true },
    ]);
    expect(first.rejected).toEqual([{ key: 'web/bad', reason: 'address is missing or not a string', revision: 5n }]);

    const second = transform.take(changes(put('web/x2', json(2), 6), gone('web/x1', 7)));
    expect(second.event).toMatchObject({
      kind: 'changes',
      revision: 7n,
      changes: [
        { kind: 'put', entry: { key: 'instances/web/x2', revision: 6n } },
        { kind: 'delete', key: 'instances/web/x1', revision: 7n },
      ],
    });
  });

  test('that are nothing to us say how far the registry is', () => {
    const transform = new LayoutTransform(skydns);
    const { event } = transform.take(changes(put('dns/ns', '{}', 9), gone('web/never-there', 10)));
    expect(event).toEqual({ kind: 'progress', revision: 10n });
    expect(transform.take({ kind: 'connected', member: 'm' }).event).toEqual({ kind: 'connected', member: 'm' });
  });

  test('keep the last good value of a key that turned bad, also across a snapshot', () => {
    const transform = new LayoutTransform(skydns);
    transform.take(snapshot(1, entry('web/x1', json(1), 1)));
    const bad = transform.take(changes(put('web/x1', '{"host":7}', 2)));
    expect(bad).toMatchObject({ event: { kind: 'progress', revision: 2n }, rejected: [{ key: 'web/x1' }] });
    const again = transform.take(snapshot(3, entry('web/x1', '{"host":7}', 2)));
    expect(again.event.kind === 'snapshot' && [...again.event.entries.keys()]).toEqual(['instances/web/x1']);
    expect(transform.take(changes(gone('web/x1', 4))).event).toMatchObject({
      changes: [{ kind: 'delete', revision: 4n }],
    });
  });

  test('of two keys for one instance give the first by name, and the other when that one goes', () => {
    const transform = new LayoutTransform(skydns);
    transform.take(snapshot(1, entry('web/web', json(2), 1)));
    const first = transform.take(changes(put('web', json(1), 2)));
    expect(first.event).toMatchObject({
      changes: [{ entry: { value: '{"address":"10.0.0.1","port":1}', revision: 2n } }],
    });
    expect(transform.take(changes(put('web/web', json(3), 3))).event).toEqual({ kind: 'progress', revision: 3n });
    expect(transform.take(changes(gone('web', 4))).event).toMatchObject({
      changes: [{ kind: 'put', entry: { value: '{"address":"10.0.0.1","port":3}', revision: 4n } }],
    });
  });

  test('give weights that are relative to the others of the service, whatever their size', () => {
    const transform = new LayoutTransform(compile(knownLayouts.traefik));
    const server = (id: number) => `http/services/web/loadBalancer/servers/${id}/url`;
    const weight = (id: number) => `http/services/web/loadBalancer/servers/${id}/weight`;
    const weightsIn = ({ event }: ReturnType<LayoutTransform['take']>) => {
      const entries =
        event.kind === 'snapshot'
          ? [...event.entries.values()]
          : event.kind === 'changes'
            ? event.changes.flatMap((change) => (change.kind === 'put' ? [change.entry] : []))
            : [];
      return Object.fromEntries(entries.map(({ key, value }) => [key.split('/').at(-1), JSON.parse(value).weight]));
    };
    const [a, b] = [entry(server(0), 'http://10.0.0.1', 1), entry(server(1), 'http://10.0.0.2', 2)];
    expect(weightsIn(transform.take(snapshot(2, a, b)))).toEqual({ 0: undefined, 1: undefined });
    expect(weightsIn(transform.take(changes(put(weight(1), '3', 3))))).toEqual({ 0: 85, 1: 256 });
    expect(weightsIn(transform.take(changes(put(weight(0), '3', 4))))).toEqual({ 0: undefined, 1: undefined });
    expect(weightsIn(transform.take(changes(put(weight(0), '1000', 5))))).toEqual({ 0: 256, 1: 1 });
    expect(weightsIn(transform.take(changes(put(weight(0), '0', 6))))).toEqual({ 0: 0, 1: 256 });
    // A bad one changes nothing, also across a snapshot.
    const bad = transform.take(changes(put(weight(0), 'much', 7)));
    expect(bad).toMatchObject({ event: { kind: 'progress' }, rejected: [{ key: weight(0) }] });
    const again = transform.take(snapshot(8, a, b, entry(weight(0), 'much', 7), entry(weight(1), '3', 3)));
    expect(weightsIn(again)).toEqual({ 0: 0, 1: 256 });
    expect(weightsIn(transform.take(changes(put(server(2), 'http://10.0.0.3', 9))))).toEqual({ 2: 85 });
    expect(weightsIn(transform.take(changes(gone(weight(0), 10), gone(weight(1), 11))))).toEqual({
      0: undefined,
      1: undefined,
      2: undefined,
    });
  });

  test('fold to what a snapshot of the same tree gives, for any history', () => {
    const paths = ['url', 'weight', 'WEIGHT'].flatMap((field) => [
      `http/services/web/loadBalancer/servers/0/${field}`,
      `http/services/web/loadbalancer/servers/1/${field}`,
      `http/services/shop/loadbalancer/servers/0/${field}`,
    ]);
    const value = (key: string, n: number) => (key.endsWith('/url') ? `http://10.0.0.1:${n}` : String(n));
    foldsLikeSnapshots(compile(knownLayouts.traefik), paths, value);
    const weighed = (_: string, n: number) => `{"host":"10.0.0.1","port":${n},"weight":${n % 4}}`;
    foldsLikeSnapshots(skydns, ['web', 'web/web', 'web/x1', 'shop/x1', 'dns/a', 'a/b/c'], weighed);
  });

  function foldsLikeSnapshots(
    layout: Layout,
    keys: readonly string[],
    write: (key: string, n: number) => string,
  ): void {
    const step = fc.record({ key: fc.constantFrom(...keys), port: fc.option(fc.integer({ min: 1, max: 9 })) });
    const values = (view: ReadonlyMap<string, Entry>) =>
      Object.fromEntries([...view].map(([k, { value }]) => [k, value]).sort());
    fc.assert(
      fc.property(fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { maxLength: 20 }), (events) => {
        const transform = new LayoutTransform(layout);
        transform.take(snapshot(0));
        const raw = new Map<string, Entry>();
        const view = new Map<string, Entry>();
        let at = 0;
        for (const steps of events) {
          const list = steps.map((one) => {
            at += 1;
            return one.port === null ? gone(one.key, at) : put(one.key, write(one.key, one.port), at);
          });
          for (const change of list) {
            if (change.kind === 'put') raw.set(change.entry.key, change.entry);
            else raw.delete(change.key);
          }
          const { event } = transform.take(changes(...list));
          expect(event).toMatchObject({ revision: BigInt(at) });
          if (event.kind !== 'changes') continue;
          for (const change of event.changes) {
            if (change.kind === 'put') view.set(change.entry.key, change.entry);
            else expect(view.delete(change.key)).toBe(true);
          }
          const whole = new LayoutTransform(layout).take(snapshot(at, ...raw.values())).event;
          expect(values(view)).toEqual(whole.kind === 'snapshot' ? values(whole.entries) : {});
        }
      }),
    );
  }
});
