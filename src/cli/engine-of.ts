import type { EngineApi } from '../engine/engine-api.ts';
import { HttpEngine } from '../engine/http-engine.ts';
import { type EngineAddress, formatEngineAddress, parseEngineAddress } from '../model/engine-address.ts';
import { Fault } from '../model/fault.ts';
import type { Invocation } from './invocation.ts';

/** An engine, and how its own client finds it. */
export type NamedEngine = { readonly engine: EngineApi; readonly address: string };

const usual = 'unix:///var/run/docker.sock';

/** The engines of the flags; without any, the one that `docker` would use. Throws Fault `settings`. */
export function enginesOf(addresses: readonly EngineAddress[], env: Invocation['env']): readonly NamedEngine[] {
  const named = addresses.length > 0 ? addresses : [fromEnvironment(env['DOCKER_HOST'] || usual)];
  return named.map((address) => ({ engine: new HttpEngine(address), address: formatEngineAddress(address) }));
}

function fromEnvironment(text: string): EngineAddress {
  const address = parseEngineAddress(text);
  if (address.ok) return address.value;
  throw new Fault('settings', address.reason, {
    where: 'DOCKER_HOST',
    hint: 'name the engine with --engine; an engine behind ssh can be reached by `ssh -L /run/there.sock:/var/run/docker.sock HOST`',
  });
}
