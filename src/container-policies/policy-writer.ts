import type { Logger } from 'pino';
import { carryOut } from '../apply/carry-out.ts';
import { keyDiffs } from '../apply/key-diff.ts';
import type { ApplyOptions, ApplyPlan, ApplyProblem } from '../apply/plan-apply.ts';
import type { Declared } from '../declarations/declared.ts';
import { OncePerReason } from '../logging/once-per-reason.ts';
import { policyKey, serviceOfKey } from '../model/key.ts';
import type { SetName } from '../model/set-name.ts';
import type { Registry } from '../registry/registry.ts';
import type { ChosenPolicy } from './choose-policies.ts';

export type PolicyWriterParts = {
  readonly registry: Registry;
  readonly logger: Logger;
  /** The set that owns the policies of labels, of all hosts together. */
  readonly set: SetName;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
};

/** Writes the policies that labels ask for, and restores them when somebody else changed them. */
export class PolicyWriter {
  readonly #parts: PolicyWriterParts;
  readonly #told = new OncePerReason();
  /** What the registry had after the last write, by key. */
  #written: ReadonlyMap<string, string> = new Map();
  #conflicts: readonly string[] = [];

  constructor(parts: PolicyWriterParts) {
    this.#parts = parts;
  }

  /** The policies that do not count, because somebody else owns them: a line each. */
  get conflicts(): readonly string[] {
    return this.#conflicts;
  }

  /** Writes what it may: a policy that somebody else owns is left out, and told. Rejects with a Fault. */
  async write(
    chosen: readonly ChosenPolicy[],
    removal: Pick<ApplyOptions, 'prune' | 'keep'>,
    signal: AbortSignal,
  ): Promise<void> {
    const { registry, random, logger, set } = this.#parts;
    const options = { ...removal, set, take: false, maxPrune: Number.POSITIVE_INFINITY };
    let declared = chosen.map(declaredOf);
    const conflicts: string[] = [];
    // Each attempt leaves out what the one before could not write.
    for (let attempt = 0; attempt <= chosen.length; attempt += 1) {
      const { plan } = await carryOut({ registry, declared, options, random, signal });
      const refused = new Set(
        plan.problems.flatMap((problem) => (problem.declared === undefined ? [] : [problem.declared.key])),
      );
      for (const problem of plan.problems) {
        const reason = planProblemText(problem);
        const key = problem.declared?.key ?? 'all';
        conflicts.push(reason);
        if (!this.#told.isNew(key, reason)) continue;
        logger.error({ event: 'labels-conflict', key, reason }, `the labels of a container do not count: ${reason}`);
      }
      this.#conflicts = conflicts;
      if (plan.problems.length === 0) this.#remember(plan);
      if (refused.size === 0) return;
      declared = declared.filter(({ key }) => !refused.has(key));
    }
  }

  /** Logs what somebody else had changed since the last write. */
  #remember(plan: ApplyPlan): void {
    const declared = new Map(
      plan.changes.flatMap((change) => ('declared' in change ? [[change.key, change.declared] as const] : [])),
    );
    for (const { key, kind, fields } of keyDiffs(plan)) {
      const one = declared.get(key);
      if (one === undefined || one.value !== this.#written.get(key)) continue;
      const paths = fields.map(({ path }) => path);
      const [what, about] =
        kind === 'create' ? ['deleted it', {}] : [`changed ${paths.join(', ') || 'it'}`, { fields: paths }];
      const message = `${key} is restored as the labels of ${one.place.file} ask, because somebody else ${what}: change the labels, or take the policy over with pointsman apply --set NAME --take`;
      this.#parts.logger.warn({ event: 'policy-restored', service: serviceOfKey(key), ...about }, message);
    }
    this.#written = new Map([...declared].map(([key, { value }]) => [key, value]));
  }
}

/** The place of a label has no lines. */
function declaredOf({ service, policy, container, host }: ChosenPolicy): Declared {
  const place = { file: `container ${container} on ${host}`, line: 1, column: 1 };
  return { key: policyKey(service), value: policy, place, placeOf: () => place, flawAt: () => place };
}

/** `container web-1 on a: the set shop owns services/web`. The hints of `apply` are about files. */
const planProblemText = ({ declared, what }: ApplyProblem): string =>
  declared === undefined ? what : `${declared.place.file}: ${what}`;
