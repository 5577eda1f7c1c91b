import type { FleetMember } from '../balance/queries/fleet-members.ts';

/** A balancer, and how it differs from most of the fleet. */
export type ComparedMember = {
  readonly member: FleetMember;
  readonly kind: 'bad' | 'note' | 'good';
  /** `3 revisions behind`, `pointsman 0.2.0, others 0.1.0`. */
  readonly differences: readonly string[];
};

/** Compares each balancer with what most of them have. */
export function compareFleet(fleet: readonly FleetMember[]): readonly ComparedMember[] {
  const readable = fleet.filter(({ problem }) => problem === undefined);
  const newest = readable.reduce((most, { revision }) => Math.max(most, revision), 0);
  const usual = {
    version: mostFrequent(readable.map(({ version }) => version)),
    haproxyVersion: mostFrequent(readable.map(({ haproxyVersion }) => haproxyVersion)),
    config: mostFrequent(readable.map(({ config }) => config)),
  };
  return fleet.map((member) => {
    const { revision, version, haproxyVersion, config, problem } = member;
    if (problem !== undefined) return { member, kind: 'bad', differences: [problem] };
    const lag = newest - revision;
    const differences = [
      ...(lag > 0 ? [`${lag} revision${lag === 1 ? '' : 's'} behind`] : []),
      ...(version === usual.version ? [] : [`pointsman ${version}, others ${usual.version}`]),
      ...(haproxyVersion === usual.haproxyVersion ? [] : [`HAProxy ${haproxyVersion}, others ${usual.haproxyVersion}`]),
      ...(config === usual.config ? [] : ['its templates differ from those of the others']),
    ];
    return { member, kind: differences.length > 0 || member.refusals > 0 ? 'note' : 'good', differences };
  });
}

/** The first of those that come most often. */
function mostFrequent(values: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce<readonly [string, number] | undefined>(
    (most, one) => (most && most[1] >= one[1] ? most : one),
    undefined,
  )?.[0];
}

/** The page of a balancer, where a browser may reach it. Any user with write permission writes the address, so it has to be one. */
export function pageOfMember({ admin }: Pick<FleetMember, 'admin'>): string | undefined {
  if (admin === undefined || !/^(\[[0-9a-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$/.test(admin)) return undefined;
  return `http://${admin}/`;
}
