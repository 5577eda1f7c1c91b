import { describeMachine } from '../../bench/machine.ts';
import { row } from '../../bench/quantiles.ts';
import { type Cost, mostOf } from './cost.ts';
import { instances, services } from './world.ts';

export type SoakFigures = {
  readonly seconds: number;
  readonly seed: number;
  readonly changes: number;
  readonly answered: number;
  /** Failed requests outside of deliberate cuts of HAProxy, and in them. */
  readonly failed: { readonly outside: number; readonly inCuts: number };
  readonly cuts: number;
  /** By the name of the fault: how long each took until it was over, in ms. */
  readonly faults: ReadonlyMap<string, readonly number[]>;
  readonly costs: readonly [Cost, ...Cost[]];
};

/** The figures of a run, in Markdown. */
export async function describeSoak(figures: SoakFigures): Promise<string> {
  const { seconds, seed, changes, answered, failed, cuts, faults, costs } = figures;
  const last = costs.at(-1) ?? costs[0];
  const columns = [costs[0], mostOf(costs), last];
  const took = (all: readonly number[]) => (all.length === 0 ? '' : (Math.max(...all) / 1000).toFixed(1));
  return `# Soak

${await describeMachine('haproxy')}.

${seconds} s with three etcd, ${instances} instances in ${services} services that churn, requests all the time, a fault every one to three
seconds (\`SOAK_SEED=${seed}\`). At the end etcd, HAProxy, its configuration and a file of all instances have the same. pointsman is
what runs at that moment: it is killed, too. After a wiped or restored etcd and after the deletion of everything, policies and most
instances are written again and the rest is released; "at most" is the time until all of that was done and nothing was held.

${row('changes', 'answered', 'failed outside deliberate cuts', `failed in ${cuts} cuts of HAProxy`)}
${row('---', '---', '---', '---')}
${row(changes, answered, failed.outside, failed.inCuts)}

${row('fault', 'times', 'at most, s')}
${row('---', '---', '---')}
${[...faults].map(([name, all]) => row(name, all.length, took(all))).join('\n')}

${row('pointsman', 'first', 'most', 'last')}
${row('---', '---', '---', '---')}
${row('RSS MB', ...columns.map(({ memoryMb }) => memoryMb.toFixed(0)))}
${row('descriptors', ...columns.map(({ descriptors }) => descriptors))}
`;
}
