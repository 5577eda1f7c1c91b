import { pinnedSplit } from '../catalog/shifted-split.ts';
import { Fault } from '../model/fault.ts';
import { policyKey } from '../model/key.ts';
import { readServices } from '../operate/read-services.ts';
import { readService } from '../operate/target.ts';
import { pinCommand } from '../settings/shift.ts';
import { done } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { print, printJson } from './outputs.ts';
import { warnOfOwner } from './policy-context.ts';
import { editPolicy, policyWithSplit } from './policy-text.ts';

/** `pointsman pin SERVICE`. */
export async function run(invocation: Invocation): Promise<number> {
  const { json, ...settings } = await readInvocation(pinCommand, invocation);
  const service = readService(invocation.operands[0]);
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  try {
    const key = policyKey(service);
    const known = (await readServices(registry, [service], Date.now())).services.get(service);
    if (known === undefined || known.registered.isEmpty()) {
      throw new Fault('not-found', `no instance of ${service} is registered`, {
        hint: 'first start the version that should get the requests',
      });
    }
    const split = pinnedSplit(known);
    if (split !== undefined && 'unnamed' in split) {
      throw new Fault('not-found', `${service}/${split.unnamed.id} has no version, so a split cannot name it`, {
        hint: 'register it with --version-label VERSION',
      });
    }
    if (split !== undefined) await warnOfOwner(registry, key);
    const revision =
      split === undefined
        ? undefined
        : String(await editPolicy(registry, key, (policy) => policyWithSplit(policy, split)));
    const inForce = split ?? known.policy.split ?? new Map<string, number>();
    if (json) printJson({ service, split: Object.fromEntries(inForce), revision });
    else print(told(service, inForce, revision));
    return done;
  } finally {
    await registry.close();
  }
}

function told(service: string, split: ReadonlyMap<string, number>, revision: string | undefined): string {
  const shares = [...split].map(([version, share]) => `${version} ${Number(share.toFixed(2))}`).join(', ');
  const when = revision === undefined ? 'as before' : `revision ${revision}`;
  return `${service}: only these versions get requests, in these shares: ${shares} (${when})\nto give another version requests: pointsman shift ${service} --to VERSION\n`;
}
