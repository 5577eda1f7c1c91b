import { describe, expect, test } from 'vitest';
import { parseInstance } from '../../model/instance.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { explain, type Look } from './explain.ts';

const parsed = parseInstance('web' as ServiceName, 'a' as InstanceId, '10.0.0.1:80');
if (!parsed.ok) throw new Error(parsed.reason);
const instance = parsed.value;
const line = 'server a 10.0.0.1:80 weight 100 check';

const served: Look = {
  service: 'web',
  id: 'a',
  key: { revision: '7', leased: true },
  rejection: undefined,
  policyRejection: undefined,
  secretProblem: undefined,
  registered: instance,
  instance,
  emptySplit: undefined,
  canary: undefined,
  override: undefined,
  held: undefined,
  ejection: undefined,
  guardedForMs: undefined,
  desired: line,
  served: line,
  pendingRemoval: false,
  pendingReload: [],
  refused: undefined,
  paced: undefined,
  checkPace: undefined,
  fleetLimit: undefined,
  quarantined: undefined,
  unservedPort: undefined,
  routes: ['web/'],
  conflicts: [],
  waitingHosts: [],
  traffic: {
    status: 'UP',
    check: 'L4OK',
    checkDetail: '',
    ...{ weight: 100, backup: false, markedDown: 0 },
    sinceS: 61,
    requests: 10,
    answers: { '1xx': 0, '2xx': 10, '3xx': 0, '4xx': 0, '5xx': 0, other: 0 },
    failures: { connect: 0, response: 0, retries: 0, redispatches: 0 },
    open: 1,
    queued: 0,
    meanMs: { queue: 0, connect: 0, response: 1, total: 1 },
  },
};
const traffic = (more: Partial<NonNullable<Look['traffic']>>): Look['traffic'] =>
  served.traffic === undefined ? undefined : { ...served.traffic, ...more };

test('an instance that is served has nothing bad about it, and each stage is told', () => {
  const explanation = explain(served);
  expect(explanation).toMatchObject({ verdict: 'served', because: 'it gets requests' });
  expect(explanation.findings.map(({ stage, state }) => `${stage} ${state}`)).toEqual([
    'key good',
    'registration good',
    'configuration good',
    'haproxy good',
    'health good',
    'routes good',
    'requests good',
  ]);
});

test('a host whose redirect waits for a certificate is named', () => {
  const { verdict, findings } = explain({ ...served, waitingHosts: ['shop.example.com', 'www.example.com'] });
  expect(verdict).toBe('served');
  expect(findings.filter(({ stage }) => stage === 'https')).toEqual([
    {
      stage: 'https',
      state: 'note',
      says: 'the redirect to HTTPS waits for a certificate of shop.example.com, www.example.com; HTTP is served meanwhile',
    },
  ]);
});

describe('the first thing in the way is the reason', () => {
  test.each<[string, Partial<Look>, string]>([
    ['no key', { key: undefined, registered: undefined, instance: undefined, traffic: undefined }, 'no such key'],
    [
      'a malformed value',
      { rejection: { reason: 'it is not host:port', lastGoodServes: false } },
      'it is not host:port',
    ],
    ['it leaves', { registered: { ...instance, state: 'draining' } }, 'the registration says draining'],
    ['an operator', { override: 'drain by ada', instance: { ...instance, state: 'draining' } }, 'drain by ada'],
    ['weight 0', { registered: { ...instance, weight: 0 }, instance: { ...instance, weight: 0 } }, 'its weight is 0'],
    [
      'a split',
      { emptySplit: { version: 'v2' }, instance: { ...instance, weight: 0 } },
      "the policy's split gives version v2 no requests",
    ],
    ['no line', { desired: undefined, served: undefined }, 'the templates rendered no server line'],
    [
      'a reload is due',
      { served: undefined, pendingReload: ['service web is new'] },
      'a reload is due: service web is new',
    ],
    [
      'quarantined',
      { desired: undefined, served: undefined, quarantined: { reason: 'HAProxy refuses it: x', serves: 'nothing' } },
      'HAProxy refuses it: x',
    ],
    ['refused', { served: undefined, refused: 'haproxy.cfg.refused:9: HAProxy refuses it' }, 'HAProxy refuses it'],
    ['HAProxy lost it', { traffic: undefined }, 'HAProxy has no such server'],
    [
      'its check fails',
      { traffic: traffic({ status: 'DOWN', check: 'L4CON', checkDetail: 'Connection refused' }) },
      'DOWN for 1m 1s',
    ],
  ])('%s', (_, more, because) => {
    const explanation = explain({ ...served, ...more });
    expect(explanation.verdict).toBe('not served');
    expect(explanation.because).toContain(because);
  });
});

test('a registration that is refused is not shown as one that is in order', () => {
  const rejection = { reason: 'no instance may be at 127.0.0.1', lastGoodServes: false };
  const { findings } = explain({ ...served, rejection, instance: undefined, traffic: undefined });
  expect(findings.filter(({ stage }) => stage === 'registration')).toEqual([
    { stage: 'registration', state: 'bad', says: rejection.reason },
  ]);
});

test('an instance is not said to be served as asked while nobody reaches the port of its service', () => {
  const quarantined = { reason: 'process 7 listens on 127.0.0.1:35432', serves: 'last-good' } as const;
  const explanation = explain({ ...served, quarantined, unservedPort: 35432 });
  expect(explanation.verdict).toBe('served by its former policy');
  expect(explanation.because).toBe('not on port 35432: process 7 listens on 127.0.0.1:35432');
  const bad = explain({ ...served, quarantined, unservedPort: 35432, traffic: traffic({ status: 'DOWN' }) });
  expect(bad.verdict).toBe('not served');
});

test('what is held or only half wrong is served, and says so', () => {
  const held = explain({ ...served, key: undefined, guardedForMs: 60_000 });
  expect(held.verdict).toBe('served');
  expect(held.findings.map(({ says }) => says).join()).toContain('guarded for 1m more while its check passes');
  const replaced = { ...served, held: { reason: 'the data was restored', leftMs: undefined } };
  const says = (look: Look) =>
    explain(look)
      .findings.map((finding) => finding.says)
      .join();
  expect(explain(replaced).verdict).toBe('served');
  expect(says(replaced)).toContain('the registry no longer has it: the data was restored');
  expect(says(replaced)).toContain('released (pointsman release web) and as long as its check passes');
  expect(says({ ...replaced, held: { reason: 'x', leftMs: 60_000 } })).toContain('held for 1m more, unless it');
  const lastGood = explain({ ...served, rejection: { reason: 'it is not JSON', lastGoodServes: true } });
  expect(lastGood.verdict).toBe('served');
  expect(lastGood.findings.map(({ says }) => says).join()).toContain('its previous value is served');
});

test('a rejected policy is named, with the policy that serves instead', () => {
  const policyRejection = { reason: '"hostz" is not a field of a policy', lastGoodServes: true };
  const { verdict, findings } = explain({ ...served, policyRejection });
  expect(verdict).toBe('served');
  expect(findings).toContainEqual({
    stage: 'policy',
    state: 'note',
    says: 'the newest policy is rejected: "hostz" is not a field of a policy; the last good policy serves',
  });
});

test('an instance is not served if the only policy of its service is rejected', () => {
  const policyRejection = { reason: '"hostz" is not a field of a policy', lastGoodServes: false };
  expect(explain({ ...served, policyRejection })).toMatchObject({
    verdict: 'not served',
    because:
      'the newest policy is rejected: "hostz" is not a field of a policy; there is no last good policy, so no request reaches the service',
  });
});

test('an ejected instance is not served, and one on trial is', () => {
  const ejection = { phase: 'out', errors: 5, times: 2, endsInMs: 25_000 } as const;
  const out = explain({ ...served, ejection });
  expect(out).toMatchObject({
    verdict: 'not served',
    because: 'ejected for 25s more: 5 errors in a row, 2 times in succession',
  });
  const trial = explain({ ...served, ejection: { ...ejection, phase: 'trial', times: 1 } });
  expect(trial.verdict).toBe('served');
  expect(trial.findings).toContainEqual({
    stage: 'ejection',
    state: 'note',
    says: 'on trial for 25s more, with a tenth of its weight: 5 errors in a row',
  });
});

test('an instance whose service lets nobody in is not served, and the file is named', () => {
  const secretProblem = '/secrets/shop: no such file has users or keys';
  expect(explain({ ...served, secretProblem })).toMatchObject({
    verdict: 'not served',
    because: `requests are answered with 503: ${secretProblem}`,
  });
});

test('a canary is served although the split gives its version no requests', () => {
  const told = explain({
    ...served,
    emptySplit: { version: 'v2' },
    canary: 'requests with the header X-Canary=1',
    instance: { ...instance, weight: 0 },
  });
  expect(told.verdict).toBe('served');
  expect(told.findings.map(({ says }) => says)).toEqual(
    expect.arrayContaining([
      "the policy's canary gives it requests with the header X-Canary=1",
      "the policy's split gives version v2 no other requests",
    ]),
  );
});
