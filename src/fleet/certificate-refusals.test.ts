import { expect, test } from 'vitest';
import { revision } from '../model/revision.ts';
import { formatAcknowledgement, type Refusal } from './acknowledgement.ts';
import { certificateRefusals, mergeRefusals, refusedHosts } from './certificate-refusals.ts';

const refusals: readonly Refusal[] = [
  { key: 'certificates/shop.example.com', reason: 'its private key cannot be opened' },
  { key: 'services/web', reason: 'it is refused' },
];

test('what balancers say about certificates is read from their acknowledgements and from themselves', () => {
  const value = formatAcknowledgement({
    ...{ revision: revision(7n), cluster: 'c', owner: 'o', version: '1', haproxyVersion: '2.6', config: 'x' },
    ...{ admin: undefined, appliedAt: '2026-01-01T00:00:00Z', draining: undefined, refusals },
    ...{ unproven: new Map(), unrouted: new Map(), conflicts: new Map(), untold: new Map(), unlisted: new Map() },
  });
  const entries = [
    { key: 'balancers/lb-1', value },
    { key: 'balancers/lb-2', value },
    { key: 'balancers/lb-3', value: 'rubbish' },
    { key: 'certificates/shop.example.com', value },
  ];
  const told = certificateRefusals(entries);
  const one = { host: 'shop.example.com', reason: 'its private key cannot be opened' };
  expect(told).toEqual([
    { balancer: 'lb-1', ...one },
    { balancer: 'lb-2', ...one },
  ]);
  const asked = new Map([
    ['lb-2', []],
    ['lb-4', refusedHosts('lb-4', refusals)],
  ]);
  expect(mergeRefusals(told, asked)).toEqual([
    { balancer: 'lb-1', ...one },
    { balancer: 'lb-4', ...one },
  ]);
});
