import { Fault } from '../model/fault.ts';
import type { OverrideTarget } from '../model/override.ts';
import type { Revision } from '../model/revision.ts';
import type { Registry } from '../registry/registry.ts';
import { type Action, commandOf, overrideFor } from './action.ts';
import { describeEnd, endOverride, type HeldAnswer, planEnd } from './end-override.ts';
import { describeCounts } from './impact.ts';
import { nameOf } from './target.ts';
import { previewOverride, writeOverride } from './write-override.ts';
import { writeRelease } from './write-release.ts';

export type OperationsParts = {
  readonly registry: Registry;
  /** The override of a target that this balancer holds although the registry does not have it. */
  readonly findHeld: (target: OverrideTarget) => HeldAnswer;
  /** What this balancer holds of a service, in words; undefined: nothing. */
  readonly describeHeld: (service: string) => string | undefined;
  readonly wall: () => Date;
};

/** What an action does, before it is done. */
export type Preview = {
  readonly says: string;
  /** Of the service, after it; undefined where the action changes no instance. */
  readonly counts: string | undefined;
  readonly warnings: readonly string[];
  /** The command that does the same. */
  readonly command: string;
};

/** `revision`: undefined if the override was gone meanwhile. */
export type Outcome = Preview & { readonly revision: string | undefined };

/** Does for the admin port what the commands do, through the same functions. */
export class Operations {
  readonly #parts: OperationsParts;

  constructor(parts: OperationsParts) {
    this.#parts = parts;
  }

  /** Writes nothing. Rejects with a Fault. */
  async preview(action: Action, who: string): Promise<Preview> {
    return (await this.#plan(action, who)).preview;
  }

  /** Rejects with a Fault; nothing is written then. */
  async carryOut(action: Action, who: string): Promise<Outcome> {
    const { preview, write } = await this.#plan(action, who);
    const revision = await write();
    return { ...preview, revision: revision === undefined ? undefined : String(revision) };
  }

  async #plan(action: Action, who: string): Promise<{ preview: Preview; write: () => Promise<Revision | undefined> }> {
    const { registry, wall, findHeld, describeHeld } = this.#parts;
    const at = wall().getTime();
    const command = commandOf(action);
    switch (action.kind) {
      case 'set': {
        const { target } = action;
        const said = overrideFor(action, who, at);
        const { impact, unknown } = await previewOverride(registry, target, said, at);
        if (unknown !== undefined) throw new Fault('not-found', unknown.message);
        const { says, warnings } = impact;
        const preview = { says, warnings, command, counts: describeCounts(target, said.effect, impact) };
        return { preview, write: () => writeOverride(registry, target, said, at) };
      }
      case 'end': {
        const { target, only } = action;
        const plan = await planEnd(registry, target, { only, wall: at, findHeld: async () => findHeld(target) });
        const says = `${nameOf(target)}: ${describeEnd(plan.ends)}`;
        const preview = { says, warnings: plan.warnings, command, counts: undefined };
        return { preview, write: () => endOverride(registry, target, plan) };
      }
      case 'release': {
        const { release } = action;
        const held = describeHeld(release);
        const warnings = held === undefined ? ['this balancer holds nothing of it'] : [];
        const says = `${release}: balancers let go of what they hold${held === undefined ? '' : `: ${held}`}`;
        return {
          preview: { says, warnings, command, counts: undefined },
          write: () => writeRelease(registry, release, who, wall()),
        };
      }
    }
  }
}
