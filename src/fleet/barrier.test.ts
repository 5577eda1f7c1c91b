import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  change,
  drained,
  entry,
  fleet,
  gone,
  id,
  idle,
  obstacles,
  parsed,
  serves,
  service,
  snapshot,
  value,
} from '../../test/support/barrier.ts';
import { parseInstanceId, parseServiceName } from '../model/name.ts';
import { noRevision, revision } from '../model/revision.ts';
import { type Acknowledgement, heldReason, mostUnrouted } from './acknowledgement.ts';
import { type Awaited, evaluateBarrier, isOver } from './barrier.ts';
import { emptyFleet, foldFleet } from './fleet-view.ts';

describe('a wait for every balancer', () => {
  test('is over when each of them serves the revision', () => {
    expect(evaluateBarrier(fleet({ one: value(), two: value({ revision: revision(11n) }) }), serves)).toEqual({
      kind: 'reached',
      reached: ['one', 'two'],
    });
  });

  test('names those who are behind', () => {
    const view = fleet({ one: value(), two: value({ revision: revision(9n) }) });
    expect(evaluateBarrier(view, serves)).toMatchObject({
      kind: 'waiting',
      reached: ['one'],
      missing: [{ balancer: 'two' }],
    });
    expect(obstacles(view, serves)).toEqual(['two is at revision 9']);
  });

  test('names what one of them refuses, if it is of what is awaited', () => {
    const refusing = (key: string, reason = 'no port') => fleet({ one: value({ refusals: [{ key, reason }] }) });
    // A policy that is held is in force.
    expect(obstacles(refusing('services/web', heldReason), serves)).toEqual(['reached']);
    expect(obstacles(refusing('instances/web/a'), serves)).toEqual(['one does not serve it: no port']);
    expect(obstacles(refusing('instances/web/*'), serves)).toEqual(['one does not serve it: no port']);
    expect(obstacles(refusing('instances/web/b'), serves)).toEqual(['reached']);
    expect(obstacles(refusing('services/web'), serves)).toEqual(['one does not serve it: no port']);
    expect(obstacles(refusing('services/web'), gone)).toEqual(['reached']);
    expect(obstacles(refusing('services/api'), serves)).toEqual(['reached']);
    const whole: Awaited = { ...serves, id: undefined };
    expect(obstacles(refusing('instances/web/b'), whole)).toEqual(['one does not serve it: no port']);
    expect(obstacles(refusing('services/web'), whole)).toEqual(['one does not serve it: no port']);
    // Its instances take no requests any more, whatever its policy.
    expect(obstacles(refusing('services/web'), { ...whole, goal: 'gone' })).toEqual(['reached']);
    expect(obstacles(refusing('instances/web2/b'), whole)).toEqual(['reached']);
  });

  test('for a drain is over when no request is open', () => {
    const open = (count: number | 'unknown') => fleet({ one: value({ draining: new Map([['web/a', count]]) }) });
    expect(obstacles(open(0), drained)).toEqual(['reached']);
    expect(obstacles(open(2), drained)).toEqual(['one has 2 open requests']);
    expect(obstacles(open('unknown'), drained)).toEqual([
      'one has a worker from before a reload that may still hold requests',
    ]);
    expect(obstacles(open(2), gone)).toEqual(['reached']);
  });

  test('to be served is not over where it has not passed a check yet', () => {
    const view = fleet({ one: value({ unproven: new Map([['web', ['a', 'b']]]) }) });
    expect(obstacles(view, serves)).toEqual([
      'one gives it no requests: it has not passed a health check yet (see pointsman explain)',
    ]);
    expect(obstacles(view, { ...serves, id: undefined, ready: [id] })).toEqual([
      'one gives web/a no requests: it has not passed a health check yet (see pointsman explain)',
    ]);
    expect(obstacles(view, { ...serves, goal: 'gone' })).toEqual(['reached']);
    expect(obstacles(fleet({ one: value({ unproven: new Map([['api', ['a']]]) }) }), serves)).toEqual(['reached']);
  });

  test('to be served is not over where no request can reach the service', () => {
    const view = fleet({ one: value({ unrouted: new Map([['web', 'api has its host']]) }) });
    expect(obstacles(view, serves)).toEqual(['one gives it no requests: api has its host']);
    expect(obstacles(view, { ...serves, id: undefined })).toEqual(['one gives it no requests: api has its host']);
    expect(obstacles(view, gone)).toEqual(['reached']);
    expect(obstacles(fleet({ one: value({ unrouted: new Map([['api', 'x']]) }) }), serves)).toEqual(['reached']);
  });

  test('to be served is not over where the service may be one of many that no request can reach', () => {
    const names = Array.from({ length: mostUnrouted + 150 }, (_, i): [string, string] => [`s${i}`, 'x']);
    const crowd = fleet({ one: value({ unrouted: new Map([...names, ['web', 'x']]) }) });
    expect(obstacles(crowd, serves)).toEqual([expect.stringContaining('one does not list 51 or more')]);
    expect(obstacles(crowd, gone)).toEqual(['reached']);
    const named = fleet({ one: value({ unrouted: new Map([...names.slice(0, mostUnrouted), ['web', 'x']]) }) });
    expect(obstacles(named, serves)).toEqual([expect.stringContaining('one does not list 1 or more')]);
    expect(obstacles(named, { ...serves, service: parsed(parseServiceName('api')) })).toEqual(['reached']);
  });

  test('to be served is not over where an operator has taken it out', () => {
    const view = fleet({ one: value({ draining: new Map([['web/a', 0]]) }) });
    expect(obstacles(view, serves)).toEqual(['one gives it no requests: an operator has taken it out']);
    expect(obstacles(view, { ...serves, id: undefined })).toEqual(['reached']);
  });

  test('with a count from before the drain is not over', () => {
    expect(obstacles(fleet({ one: value({ ...idle, revision: revision(9n) }) }), drained)).toEqual([
      'one is at revision 9',
    ]);
  });

  test('counts a balancer that has begun, and one that has its key beside another', () => {
    const begun = value({ revision: noRevision, cluster: '' });
    expect(obstacles(fleet({ one: value(idle), 'one:0a1b2c3d': begun }), drained)).toEqual([
      'one:0a1b2c3d has started and serves nothing yet',
    ]);
    expect(obstacles(fleet({ one: value(idle), 'one:two:three': begun }), drained)).toEqual(['reached']);
  });

  test('with no balancer alive is over for one that leaves, and not for one that comes', () => {
    const verdict = evaluateBarrier(fleet({}), drained);
    expect(verdict).toEqual({ kind: 'nobody' });
    expect([isOver(verdict, drained), isOver(verdict, gone), isOver(verdict, serves)]).toEqual([true, true, false]);
  });

  test('before the registry was heard is not over', () => {
    const verdict = evaluateBarrier(emptyFleet, drained);
    expect(verdict).toEqual({ kind: 'unheard', reason: 'it has not answered yet' });
    expect(isOver(verdict, drained)).toBe(false);
    const away = foldFleet(emptyFleet, { kind: 'disconnected', reason: 'refused' });
    expect(evaluateBarrier(away, drained)).toEqual({ kind: 'unheard', reason: 'refused' });
  });

  test('counts a balancer that cannot acknowledge as missing, and says why', () => {
    const old = JSON.stringify({ ...JSON.parse(value()), draining: undefined });
    expect(obstacles(fleet({ one: old }), drained)).toEqual(['one cannot tell: it does not report open requests']);
    expect(obstacles(fleet({ one: old }), serves)).toEqual(['reached']);
    expect(obstacles(fleet({ one: value() }), drained)).toEqual([
      'one cannot tell: it does not report those of this instance',
    ]);
    expect(obstacles(fleet({ one: '{"format":9}' }), gone)).toEqual(['one cannot tell: it is not of format 1']);
  });

  test('waits for one that joins meanwhile, and no longer for one that is gone', () => {
    const before = fleet({ one: value({ ...idle, revision: revision(9n) }) });
    const joined = foldFleet(before, change({ kind: 'put', entry: entry('balancers/two', value(idle)) }));
    expect(obstacles(joined, drained)).toEqual(['one is at revision 9']);
    const late = foldFleet(joined, change({ kind: 'put', entry: entry('balancers/three', value()) }));
    const died = foldFleet(late, change({ kind: 'delete', key: 'balancers/one', revision: revision(21n) }));
    expect(obstacles(died, drained)).toEqual(['three cannot tell: it does not report those of this instance']);
    const both = foldFleet(died, change({ kind: 'put', entry: entry('balancers/three', value(idle)) }));
    expect(evaluateBarrier(both, drained)).toEqual({ kind: 'reached', reached: ['two', 'three'] });
  });

  test('does not wait for a key that a hand wrote', () => {
    const view = foldFleet(
      fleet({ one: value(idle) }),
      change({ kind: 'put', entry: entry('balancers/x', 'y', false) }),
    );
    expect(obstacles(view, drained)).toEqual(['reached']);
  });

  test('does not compare revisions of two registries', () => {
    const view = foldFleet(fleet({ one: value() }), snapshot({ one: value({ revision: revision(99n) }) }, 'd'));
    expect(obstacles(view, serves)).toEqual(['one has not followed the registry since its data was replaced']);
  });

  test('keeps what it heard while the registry is away', () => {
    const view = foldFleet(fleet({ one: value() }), { kind: 'disconnected', reason: 'refused' });
    expect(view.away).toBe('refused');
    expect(obstacles(view, serves)).toEqual(['reached']);
    expect(foldFleet(view, { kind: 'connected', member: 'm' }).away).toBeUndefined();
  });

  test('is over exactly when nobody is missing, in any fleet', () => {
    const said = fc.record({
      revision: fc.bigInt({ min: 8n, max: 12n }),
      open: fc.constantFrom(0, 1, 'unknown' as const, undefined),
    });
    fc.assert(
      fc.property(fc.array(said, { minLength: 1, maxLength: 5 }), (all) => {
        const values = all.map(({ revision: at, open }, i): [string, string] => [
          `b${i}`,
          value({ revision: revision(at), draining: new Map(open === undefined ? [] : [['web/a', open]]) }),
        ]);
        const over = isOver(evaluateBarrier(fleet(Object.fromEntries(values)), drained), drained);
        expect(over).toBe(all.every(({ revision: at, open }) => at >= 10n && open === 0));
      }),
    );
  });
});

test('an instance that may be among refusals which are not told is not taken for served', () => {
  const untold = fleet({ b: value({ untold: new Map([['web', 7]]) }) });
  expect(obstacles(untold, serves)).toEqual([
    expect.stringContaining('b refuses 7 or more entries that it does not name'),
  ]);
  expect(obstacles(fleet({ b: value({ untold: new Map([['*', 1]]) }) }), serves)).toHaveLength(1);
  expect(obstacles(fleet({ b: value({ untold: new Map([['other', 7]]) }) }), serves)).toEqual(['reached']);
});

test('whatever somebody waits for, a refusal that is not told may be of it', () => {
  const awaited: readonly Awaited[] = [
    serves,
    { ...serves, id: undefined },
    gone,
    { ...gone, id: undefined },
    drained,
    { goal: 'paused', revision: revision(10n), service, id: undefined },
  ];
  const judged = (change: Partial<Acknowledgement>) =>
    awaited.map((one) => obstacles(fleet({ b: value(change) }), one).map((text) => text.slice(0, 11)));
  const unsure = awaited.map(() => ['b refuses 7']);
  expect(judged({ untold: new Map([['web', 7]]) })).toEqual(unsure);
  expect(judged({ untold: new Map([['*', 7]]) })).toEqual(unsure);
  const others = { untold: new Map([['other', 7]]), ...idle };
  expect(awaited.slice(2).map((one) => obstacles(fleet({ b: value(others) }), one))).toEqual(
    awaited.slice(2).map(() => ['reached']),
  );
  // A balancer that counts the requests of the instance does not refuse its drain.
  expect(obstacles(fleet({ b: value({ untold: new Map([['web', 7]]), ...idle }) }), drained)).toEqual(['reached']);
});

const instances = (of: string, count: number) => Array.from({ length: count }, (_, i) => `${of}/i${i}`);
const draining = (...names: readonly string[]) => new Map(names.map((name): [string, number] => [name, 0]));

test('many draining instances of one service hide no draining instance of another', () => {
  const crowded = fleet({ b: value({ draining: draining('web/a', ...instances('evil', 5001)) }) });
  expect(obstacles(crowded, serves)).toEqual(['b gives it no requests: an operator has taken it out']);
  expect(obstacles(crowded, drained)).toEqual(['reached']);
  const evil = parsed(parseServiceName('evil'));
  const one = (name: string) => ({ service: evil, id: parsed(parseInstanceId(name)) });
  const unsure = ['b does not list 2 or more instances that get no new requests, and this may be one of them'];
  const judged = (awaited: Awaited) =>
    obstacles(crowded, awaited).map((text) => text.replace(' (see pointsman explain)', ''));
  expect(judged({ ...serves, ...one('other') })).toEqual(unsure);
  expect(judged({ ...drained, ...one('i0') })).toEqual(unsure);
  expect(judged({ ...drained, ...one('i5000') })).toEqual(['reached']);
});

test('an instance of which no place is left to say that it has passed no check is not taken for served', () => {
  const ids = (count: number) => Array.from({ length: count }, (_, i) => `i${i}`);
  const crowded = fleet({
    b: value({
      unproven: new Map([
        ['web', [id, ...ids(1100)]],
        ['api', ids(1000)],
      ]),
    }),
  });
  expect(obstacles(crowded, serves)).toEqual([expect.stringContaining('b does not list 101 or more instances')]);
  expect(obstacles(crowded, { ...serves, service: parsed(parseServiceName('other')) })).toEqual(['reached']);
});

test('an instance that has passed is served, however many others of its service have not', () => {
  const others = Array.from({ length: 1000 }, (_, i) => `i${i}`);
  expect(obstacles(fleet({ b: value({ unproven: new Map([['web', others]]) }) }), serves)).toEqual(['reached']);
});

test('a service is not served by all while an operator has taken one of its instances out', () => {
  const drains = fleet({ b: value({ draining: new Map([['web/a', 0]]) }) });
  expect(obstacles(drains, { ...serves, id: undefined, ready: [id] })).toEqual([
    'b gives web/a no requests: an operator has taken it out',
  ]);
  expect(obstacles(drains, { ...serves, id: undefined, ready: [] })).toEqual(['reached']);
});
