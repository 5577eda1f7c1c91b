import { Fault } from '../model/fault.ts';
import { parseServiceName } from '../model/name.ts';
import { type Release, releaseKey } from '../registry/releases.ts';
import { releaseCommand } from '../settings/release.ts';
import { done } from './exit-code.ts';
import { type Invocation, settle } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openRegistry } from './open-registry.ts';

/** How long the word stands, so that a balancer that is away for a moment still hears it. */
const standsMs = 60_000;

/** `pointsman release SERVICE`, or `--all`. */
export async function run(invocation: Invocation): Promise<number> {
  const settings = await settle(releaseCommand, invocation);
  const release = releaseIn(invocation, settings.all);
  const registry = await openRegistry(settings.registry, await createLogger(settings.log));
  try {
    const word = JSON.stringify({ by: invocation.machine.hostname, at: new Date().toISOString() });
    const revision = await registry.write(releaseKey(release), word, { ttlMs: standsMs });
    const what = release === '*' ? 'everything' : release;
    process.stdout.write(`${what}: balancers let go of what they hold (revision ${revision})\n`);
  } finally {
    await registry.close();
  }
  return done;
}

function releaseIn({ operands: [text] }: Invocation, all: boolean): Release {
  if (all && text !== undefined) throw new Fault('usage', `--all releases ${text} as well: give one of the two`);
  if (all) return '*';
  if (text === undefined) throw new Fault('usage', 'give a service, or --all for everything that is held');
  const service = parseServiceName(text);
  if (!service.ok) throw new Fault('usage', service.reason);
  return service.value;
}
