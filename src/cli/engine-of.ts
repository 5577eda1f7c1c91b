import type { EngineApi } from '../engine/engine-api.ts';
import { HttpEngine } from '../engine/http-engine.ts';
import { defaultEngine, type EngineAddress, formatEngineAddress, parseEngineAddress } from '../model/engine-address.ts';
import { Fault } from '../model/fault.ts';
import type { Invocation } from './invocation.ts';

/** An engine, and how its own client finds it. */
export type NamedEngine = { readonly engine: EngineApi; readonly address: string };

/** The engines of the flags; without any, the one that `docker` would use. Throws Fault `settings`. */
export function enginesOf(addresses: readonly EngineAddress[], env: Invocation['env']): readonly NamedEngine[] {
  const named = addresses.length > 0 ? addresses : [usualEngine(env, '--engine')];
  return named.map((address) => ({ engine: new HttpEngine(address), address: formatEngineAddress(address) }));
}

/** The engine that `docker` would use. `flag` names another one. Throws Fault `settings`. */
export function usualEngine(env: Invocation['env'], flag: '--engine' | '--containers'): EngineAddress {
  // `docker` takes an empty variable for none, too.
  const text = env['DOCKER_HOST'] || undefined;
  if (text === undefined) return defaultEngine;
  const address = parseEngineAddress(text);
  if (address.ok) return address.value;
  throw new Fault('settings', address.reason, {
    where: 'DOCKER_HOST',
    hint: `name the engine with ${flag}; an engine behind ssh can be reached by \`ssh -L /run/there.sock:/var/run/docker.sock HOST\``,
  });
}
