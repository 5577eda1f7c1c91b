import { Fault } from '../model/fault.ts';
import { parseServiceName } from '../model/name.ts';
import { releaseCommand } from '../settings/release.ts';
import { done } from './exit-code.ts';
import { type Invocation, settle } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openRegistry } from './open-registry.ts';

/** How long the word stands, so that a balancer that is away for a moment still hears it. */
const standsMs = 60_000;

/** `pointsman release SERVICE`. */
export async function run(invocation: Invocation): Promise<number> {
  const settings = await settle(releaseCommand, invocation);
  const service = parseServiceName(invocation.operands[0] ?? '');
  if (!service.ok) throw new Fault('usage', service.reason);
  const registry = await openRegistry(settings.registry, await createLogger(settings.log));
  try {
    const word = JSON.stringify({ by: invocation.machine.hostname, at: new Date().toISOString() });
    const revision = await registry.write(`releases/${service.value}`, word, { ttlMs: standsMs });
    process.stdout.write(`${service.value}: balancers let go of what they hold (revision ${revision})\n`);
  } finally {
    await registry.close();
  }
  return done;
}
