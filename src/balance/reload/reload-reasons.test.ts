import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import { describeReason, type ReloadReason } from '../../haproxy/reload-reason.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { Sweep } from '../../model/sweep.ts';
import { standingReasons } from './reload-reasons.ts';

const web = 'web' as ServiceName;
const section = { before: '', indent: '', after: '' };
const desired = {
  backends: PersistentMap([[web, { name: web, section, servers: PersistentMap([['a' as InstanceId, 'server a']]) }]]),
};
const asMap = (reasons: readonly ReloadReason[]) =>
  new Map(reasons.map((reason) => [describeReason(reason), reason] as const));

test('a reason to reload stands as long as its service or server is asked for', () => {
  const gone = 'gone' as ServiceName;
  const standing: readonly ReloadReason[] = [
    { kind: 'drift' },
    { kind: 'frame', services: [] },
    { kind: 'file', file: '/cert.pem' },
    { kind: 'new-backend', backend: web },
    { kind: 'server-line', backend: web, server: 'a' as InstanceId },
    { kind: 'refused', command: 'add server web/a', answer: 'no' },
  ];
  const past: readonly ReloadReason[] = [
    { kind: 'new-backend', backend: gone },
    { kind: 'backend', backend: gone },
    { kind: 'server-keywords', backend: gone, server: 'a' as InstanceId },
    { kind: 'server-line', backend: web, server: 'b' as InstanceId },
  ];
  expect([...standingReasons(asMap([...past, ...standing]), desired).values()]).toEqual(standing);
});

test('3,000 services that come and go while no reload succeeds leave a bounded number of reasons', () => {
  const sweep = new Sweep();
  let reasons = new Map<string, ReloadReason>();
  let most = 0;
  for (let i = 0; i < 3000; i += 1) {
    const backend = `web-${i}` as ServiceName;
    for (const reason of [
      { kind: 'new-backend', backend },
      { kind: 'refused', command: `del server web-${i}/a`, answer: 'no' },
    ] as const)
      reasons.set(describeReason(reason), reason);
    reasons = sweep.bounded(reasons, (all) => standingReasons(all, desired));
    most = Math.max(most, reasons.size);
  }
  expect(most).toBeLessThanOrEqual(100);
});
