import { describe } from 'vitest';
import { followingContract } from './contract/following.ts';
import { historyContract } from './contract/history.ts';
import { leaseContract } from './contract/leases.ts';
import { orderContract } from './contract/order.ts';
import { ownerContract } from './contract/owners.ts';
import { readingContract } from './contract/reading.ts';
import { restoringContract } from './contract/restoring.ts';
import { transactionContract } from './contract/transactions.ts';
import { openTree, type RegistryHarness } from './contract/tree.ts';

/** The promises of each adapter of the Registry port, tested on the real registry. */
export function describeRegistryContract(name: string, harness: RegistryHarness): void {
  describe(`the registry contract, kept by ${name}`, () => {
    const tree = openTree(harness);
    followingContract(tree);
    readingContract(tree);
    transactionContract(tree);
    leaseContract(tree);
    ownerContract(tree);
    restoringContract(tree);
    orderContract(tree);
    historyContract(tree);
  });
}
