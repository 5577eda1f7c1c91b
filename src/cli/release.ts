import { mostRefusals } from '../fleet/acknowledgement.ts';
import { Fleet } from '../fleet/fleet.ts';
import { Fault } from '../model/fault.ts';
import { serviceOfKey } from '../model/key.ts';
import type { ServiceName } from '../model/name.ts';
import { readServices } from '../operate/read-services.ts';
import { readService } from '../operate/target.ts';
import { writeRelease } from '../operate/write-release.ts';
import type { Registry } from '../registry/registry.ts';
import type { Release } from '../registry/releases.ts';
import { releaseCommand } from '../settings/release.ts';
import { timeLimit } from '../waiting/time-limit.ts';
import { done } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { print, warn } from './outputs.ts';
import { unknownService } from './read-service.ts';
import { whileWaiting } from './spinner.ts';

/** `pointsman release SERVICE`, or `--all`. */
export async function run(invocation: Invocation): Promise<number> {
  const settings = await readInvocation(releaseCommand, invocation);
  const release = releaseIn(invocation, settings.all);
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  try {
    if (release !== '*') await requireKnown(registry, release);
    const revision = await writeRelease(registry, release, invocation.machine.hostname, new Date());
    const what = release === '*' ? 'everything' : release;
    print(`${what}: balancers stop holding what is gone (revision ${revision})\n`);
  } finally {
    await registry.close();
  }
  return done;
}

function releaseIn({ operands: [text] }: Invocation, all: boolean): Release {
  if (all && text !== undefined) throw new Fault('usage', `--all releases ${text} as well: give one of the two`);
  if (all) return '*';
  if (text === undefined) throw new Fault('usage', 'give a service, or --all for everything that is held');
  return readService(text);
}

/** Rejects with Fault `not-found` for a service that neither the registry knows nor a balancer holds. */
async function requireKnown(registry: Registry, service: ServiceName): Promise<void> {
  const { services } = await readServices(registry, [service], Date.now());
  if (services.has(service)) return;
  const held = await whileWaiting('asking what balancers hold', () => isHeld(registry, service));
  if (held === 'untold') {
    warn(
      `no service ${service} is known, and no balancer reports here what it holds; a balancer with --layout does not report it`,
    );
    return;
  }
  if (held) return;
  throw await unknownService(registry, service, 'pointsman release --all releases everything that is held');
}

/** Milliseconds until a balancer acknowledges that it has begun to hold a service. */
const sayMs = 2000;

/**
 * Whether a balancer acknowledges that it holds an entry of the service, or holds more entries than it lists.
 * `untold`: no balancer acknowledges anything, as where all of them follow another layout.
 */
async function isHeld(registry: Registry, service: ServiceName): Promise<boolean | 'untold'> {
  const fleet = new Fleet(registry);
  const says = () =>
    [...fleet.view.balancers.values()].some(
      (said) =>
        said.ok &&
        (said.value.refusals.length >= mostRefusals ||
          said.value.refusals.some(({ key }) => serviceOfKey(key) === service)),
    );
  try {
    return await new Promise<boolean | 'untold'>((resolve) => {
      const giveUp = () => resolve(fleet.view.balancers.size === 0 ? 'untold' : says());
      timeLimit(sayMs).addEventListener('abort', giveUp, { once: true });
      fleet.listen(() => {
        if (says()) resolve(true);
      });
    });
  } finally {
    await fleet.close();
  }
}
