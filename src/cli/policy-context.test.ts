import { expect, test } from 'vitest';
import { parseSetName } from '../model/set-name.ts';
import { ownedBy } from './policy-context.ts';

const ownedByText = (name: string): string => {
  const set = parseSetName(name);
  if (!set.ok) throw new Error(set.reason);
  return ownedBy('services/web', set.value);
};

test('a person who changes a policy learns who writes it again', () => {
  expect(ownedByText('shop')).toContain('the next pointsman apply --set shop writes what its files declare');
  const ofLabels = ownedByText('containers');
  expect(ofLabels).toContain('the agents of register --containers restore it within a minute, so change the labels');
  expect(ofLabels).not.toContain('files');
});
