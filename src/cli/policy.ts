import { Fault } from '../model/fault.ts';
import { policyKey } from '../model/key.ts';
import { readService } from '../operate/target.ts';
import { type PolicyAction, type PolicySettings, policyActions, policyCommand } from '../settings/policy.ts';
import { done } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { print, warn } from './outputs.ts';
import { ownedBy, type PolicyContext, readPolicy } from './policy-context.ts';
import { deletePolicy } from './policy-delete.ts';
import { editInEditor } from './policy-edit.ts';
import { policyFileText } from './policy-file.ts';
import { setPolicy } from './policy-set.ts';

/** `pointsman policy get|set|edit|delete SERVICE`. */
export async function run(invocation: Invocation): Promise<number> {
  const settings = await readInvocation(policyCommand, invocation);
  const [name = '', serviceText, ...fields] = invocation.operands;
  const action = policyActions.find((one) => one === name);
  if (action === undefined) {
    throw new Fault('usage', `${JSON.stringify(name)} is not ${policyActions.slice(0, -1).join(', ')} or delete`, {
      hint: 'as in pointsman policy set web maxconn=100',
    });
  }
  refuseSurplus(action, fields, settings);
  const service = readService(serviceText);
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  const context = { invocation, settings, registry, service, key: policyKey(service) };
  try {
    switch (action) {
      case 'get':
        return await get(context);
      case 'set':
        return await setPolicy(context, fields);
      case 'edit':
        return await editInEditor(context);
      case 'delete':
        return await deletePolicy(context);
    }
  } finally {
    await registry.close();
  }
}

function refuseSurplus(action: PolicyAction, fields: readonly string[], { file }: PolicySettings): void {
  if (action === 'set') {
    if (file !== undefined && fields.length > 0)
      throw new Fault('usage', '--file gives the whole policy: leave out FIELD=VALUE, or --file', { where: '--file' });
    if (file === undefined && fields.length === 0)
      throw new Fault('usage', 'policy set needs FIELD=VALUE, FIELD-, --file FILE or -');
    return;
  }
  if (file !== undefined) throw new Fault('usage', `policy ${action} takes no file`, { where: '--file' });
  const [first] = fields;
  if (first !== undefined) throw new Fault('usage', `policy ${action} takes no fields, such as ${first}`);
}

async function get({ registry, service, key, settings }: PolicyContext): Promise<number> {
  const { entry, owner } = await readPolicy(registry, key);
  if (entry === undefined) {
    throw new Fault('not-found', `${service} has no policy in the registry: it has the default one`, {
      hint: 'docs/policies.md lists the defaults',
    });
  }
  if (settings.json) print(`${entry.value.trimEnd()}\n`);
  else {
    print(policyFileText(key, entry.value));
    if (owner !== undefined) warn(ownedBy(key, owner));
  }
  return done;
}
