import type { Logger } from 'pino';
import type { Refusal } from '../../fleet/acknowledgement.ts';
import { allInstancesKey, instanceKey, policyKey } from '../../model/key.ts';
import type { Revision } from '../../model/revision.ts';
import type { Rendered } from '../../render/rendered.ts';
import { type Quarantine, templateCandidate } from './quarantine.ts';

/** A service, an instance or a template that HAProxy refuses as it is requested, for `/status`. */
export type QuarantineStatus = {
  readonly key: string;
  readonly reason: string;
  readonly revision: string;
  readonly serves: 'last-good' | 'nothing';
};

export function statusOf({ templates, services, instances }: Quarantine): readonly QuarantineStatus[] {
  const of = (
    key: string,
    { reason, revision }: { readonly reason: string; readonly revision: Revision },
    good: boolean,
  ): QuarantineStatus => ({ key, reason, revision: String(revision), serves: good ? 'last-good' : 'nothing' });
  return [
    ...[...templates].map(([role, one]) => of(templateCandidate(role), one, true)),
    ...[...services].map(([name, one]) => of(policyKey(name), one, one.form !== undefined)),
    ...[...instances.values()].map((one) => of(instanceKey(one.service, one.id), one, one.kept)),
  ];
}

/** The services in quarantine, for the acknowledgement. Of a service in its last good form only the policy is not served. */
export function refusalsOf({ services }: Quarantine, { backends }: Rendered): readonly Refusal[] {
  return [...services].map(([name, { form, reason, nextVersion }]) => {
    // A newer version may be accepted when it is checked.
    const final = nextVersion === undefined;
    if (form !== undefined) return { key: policyKey(name), reason, final };
    const absent = (backends.get(name)?.servers.size ?? 0) === 0;
    return { key: allInstancesKey(name), reason, absent, final };
  });
}

/** Logs what came into quarantine, or has another reason, and what is served as requested again. */
export function logChanges(before: Quarantine, after: Quarantine, revision: Revision, logger: Logger): void {
  const reasons = new Map(statusOf(before).map(({ key, reason }) => [key, reason]));
  const now = statusOf(after);
  for (const { key, reason, serves, revision: at } of now) {
    if (reasons.get(key) === reason) continue;
    // A template concerns the whole configuration.
    if (key.startsWith('templates/')) logger.error({ event: 'config-refused', key, reason, revision: at }, reason);
    else
      logger.error({ event: 'quarantined', key, reason, revision: at, serves }, `${key} is in quarantine: ${reason}`);
  }
  const onTrial = (quarantine: Quarantine): readonly string[] => [...quarantine.onTrial.keys()].map(policyKey);
  const remaining = new Set([...now.map(({ key }) => key), ...onTrial(after)]);
  const gone = [...reasons.keys(), ...onTrial(before)].filter((key) => !remaining.has(key));
  for (const key of gone)
    logger.info({ event: 'released', key, revision: String(revision) }, `${key} is served as asked`);
}
