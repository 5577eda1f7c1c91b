import { describe, expect, test } from 'vitest';
import { formatLabelPolicy, type LabelPolicy } from '../model/label-policy.ts';
import { parseServiceName, type ServiceName } from '../model/name.ts';
import { revision } from '../model/revision.ts';
import { choosePolicies, describeDisagreements, hostPolicies } from './choose-policies.ts';
import { policyOfLabels } from './label-policy-text.ts';

const service = (name: string): ServiceName => {
  const parsed = parseServiceName(name);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
};
const web = service('web');
const [one, other] = ['{"hosts":["one.example"]}', '{"hosts":["other.example"]}'];

describe('the policy labels of a container', () => {
  const read = (hosts: string | undefined, policy: string | undefined) => {
    const result = policyOfLabels('web-1', { prefix: 'pointsman', hosts, policy });
    return typeof result === 'object' ? result.map(String) : result;
  };

  test('are a policy together', () => {
    expect(read(undefined, undefined)).toBeUndefined();
    expect(read('a.example, b.example', undefined)).toBe('{"hosts":["a.example","b.example"]}');
    expect(read('a.example', '{"balance":"leastconn"}')).toBe('{"balance":"leastconn","hosts":["a.example"]}');
  });

  test.each([
    [undefined, '{"hostz":["a.example"]}', 'label pointsman.policy'],
    [undefined, '{"hosts":', 'label pointsman.policy'],
    ['a b', undefined, 'label pointsman.hosts'],
    ['a.example', '{"hosts":["b.example"]}', 'pointsman.policy has "hosts" already'],
  ])('hosts %s and policy %s are a mistake that names container and label', (hosts, policy, what) => {
    expect(read(hosts, policy)).toEqual([expect.stringContaining(what)]);
    expect(read(hosts, policy)).toEqual([expect.stringContaining('container web-1')]);
  });

  test('name the field of a mistake once', () => {
    expect(String(read(undefined, '{"hosts":["a b"]}')).split('hosts.0: ')).toHaveLength(2);
  });
});

describe('of containers that disagree', () => {
  const entry = (host: string, policy: string, created: number, against: LabelPolicy['against'] = [], leased = true, announced = true) => ({
    ...{ key: `labels/web/${host}`, revision: revision('1'), leased },
    value: formatLabelPolicy({ policy, container: `web on ${created}`, created, announced, against }),
  }); // biome-ignore format: one idea

  test('the newest of a host decides, and the others are known', () => {
    const asked = [
      { service: web, policy: one, container: 'old', created: 1, announced: true },
      { service: web, policy: other, container: 'new', created: 2, announced: true },
      { service: web, policy: other, container: 'same', created: 1, announced: true },
    ];
    expect([...hostPolicies(asked).values()]).toEqual([
      { policy: other, container: 'new', created: 2, announced: true, against: ['old'] },
    ]);
  });

  test('one that was announced decides, however new the others are', () => {
    const asked = [
      { service: web, policy: one, container: 'old', created: 1, announced: true },
      { service: web, policy: other, container: 'new', created: 2, announced: false },
    ];
    expect(hostPolicies(asked).get(web)).toMatchObject({ policy: one, announced: true, against: ['new'] });
    const entries = [entry('a', one, 1), entry('b', other, 2, [], true, false)];
    expect(choosePolicies(entries).chosen.get(web)).toMatchObject({ host: 'a', policy: one });
  });

  test('the newest decides before one was announced', () => {
    const entries = [entry('a', one, 1, [], true, false), entry('b', other, 2, [], true, false)];
    expect(choosePolicies(entries).chosen.get(web)).toMatchObject({ host: 'b', policy: other });
    expect(describeDisagreements(choosePolicies(entries))).toEqual([expect.stringContaining('none is announced')]);
  });

  test('one with a mistake decides nothing, and the policy stays as long as there is no other', () => {
    const wrong = { service: web, policy: undefined, container: 'new', created: 2, announced: false };
    const right = { service: web, policy: one, container: 'old', created: 1, announced: false };
    expect(hostPolicies([wrong, right]).get(web)).toMatchObject({ policy: one, against: [] });
    const value = formatLabelPolicy({ ...wrong, against: [] });
    const held = choosePolicies([{ key: 'labels/web/a', value, revision: revision('1'), leased: true }]);
    expect([...held.chosen.keys(), ...held.mistaken]).toEqual([['web', 'new on a']]);
    expect(describeDisagreements(held)).toEqual([expect.stringContaining('services/web: the policy stays as it is')]);
    const both = choosePolicies([
      { key: 'labels/web/a', value, revision: revision('1'), leased: true },
      entry('b', one, 1),
    ]);
    expect([...both.chosen.keys(), ...both.mistaken]).toEqual(['web']);
  });

  test('the newest of all hosts decides, in whatever order they are read', () => {
    const entries = [entry('a', one, 1), entry('b', other, 2), entry('c', other, 1, ['third'])];
    for (const order of [entries, [...entries].reverse()]) {
      const chosen = choosePolicies(order);
      expect(chosen.chosen.get(web)).toMatchObject({ host: 'b', policy: other });
      expect(describeDisagreements(chosen)).toEqual([
        'services/web: the labels of web on 2 on b count, because it is the newest container that was announced; web on 1 on a, third on c ask for another policy',
      ]);
    }
  });

  test('those of one time are chosen by name, the same on every host', () => {
    const entries = [entry('b', other, 1), entry('a', one, 1)];
    expect(choosePolicies(entries).chosen.get(web)?.host).toBe('a');
    expect(choosePolicies([...entries].reverse()).chosen.get(web)?.host).toBe('a');
  });

  test('an entry without a lease does not count', () => {
    expect(choosePolicies([entry('a', one, 1, [], false)]).chosen.size).toBe(0);
  });
});
