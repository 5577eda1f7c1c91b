import { createHash, randomUUID } from 'node:crypto';
import type { Refusal } from '../../fleet/acknowledgement.ts';
import type { Haproxy } from '../../haproxy/haproxy.ts';
import { askWorker } from '../../haproxy/master.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import { type Address, formatAddress } from '../../model/address.ts';
import { Fault } from '../../model/fault.ts';
import { instanceKey } from '../../model/key.ts';
import type { Templates } from '../../render/render.ts';
import type { UnprovenServers } from '../first-check/unproven-servers.ts';
import type { Guarding } from '../guard/guarding.ts';
import type { HeldEntries } from '../guard/held-entries.ts';
import { readOrMakeOwner } from '../state/owner.ts';
import type { BalancePaths } from '../state/paths.ts';
import { Acknowledging, type AcknowledgingParts } from './acknowledging.ts';
import { Draining } from './draining.ts';
import { RequestCounter } from './open-requests.ts';

export type FleetMemberParts = Pick<
  AcknowledgingParts,
  'registry' | 'id' | 'isCurrent' | 'metrics' | 'logger' | 'now' | 'wall'
> & {
  readonly paths: BalancePaths;
  readonly haproxy: Haproxy;
  readonly link: RuntimeLink;
  readonly guarding: Guarding;
  readonly unproven: Pick<UnprovenServers, 'names'>;
  readonly heldEntries: Pick<HeldEntries, 'refusals'>;
  readonly templates: () => Templates;
  /** Certificates of the registry that HAProxy does not serve. */
  readonly certificates: () => readonly Refusal[];
  readonly admin: Address;
  readonly hostname: string;
  readonly version: string;
  readonly haproxyVersion: () => string | undefined;
};

const answerMs = 2000;

/** Wires the parts that acknowledge what a balancer serves. */
export async function joinFleet(parts: FleetMemberParts): Promise<Acknowledging> {
  const { registry, id, paths, haproxy, link, guarding, isCurrent, metrics, logger, now, wall } = parts;
  const counter = new RequestCounter({
    current: (commands) => link.ask(commands),
    async old() {
      const processes = await haproxy.processes();
      if (processes === undefined) throw new Fault('haproxy-runtime', 'HAProxy does not list its workers');
      return processes.oldWorkerPids;
    },
    askOld: async (pid, commands) => [await askWorker(paths.masterSocket, pid, commands, answerMs)],
  });
  const draining = new Draining({
    count: (servers) => counter.count(servers),
    logger,
    now,
    onChange: () => acknowledging.changed(),
  });
  const acknowledging = new Acknowledging({
    ...{ registry, id, isCurrent, metrics, logger, now, wall },
    owner: await readOrMakeOwner(paths.owner, randomUUID),
    about: () => ({
      version: parts.version,
      haproxyVersion: parts.haproxyVersion() ?? 'unknown',
      admin: reachable(parts.admin, parts.hostname),
    }),
    config: () => hashOf(parts.templates()),
    draining,
    unproven: () => parts.unproven.names,
    guarded: () =>
      guarding.status().flatMap(({ service, instances }) =>
        instances.map((id) => ({
          key: instanceKey(service, id),
          reason: 'lost together with many others, and guarded',
        })),
      ),
    certificates: parts.certificates,
    heldEntries: () => parts.heldEntries.refusals(),
  });
  return acknowledging;
}

/** The address for other machines; undefined when only this machine reaches it. */
function reachable(admin: Address, hostname: string): string | undefined {
  if (admin.host.startsWith('127.') || admin.host === '::1' || admin.host === 'localhost') return undefined;
  const anywhere = admin.host === '0.0.0.0' || /^[0:]+$/.test(admin.host);
  return anywhere ? `${hostname}:${admin.port}` : formatAddress(admin);
}

/** Templates and a revision determine the whole configuration. */
function hashOf(templates: Templates): string {
  const hash = createHash('sha256');
  for (const { text } of Object.values(templates)) hash.update(`${text.length}\n${text}`);
  return hash.digest('hex').slice(0, 12);
}
