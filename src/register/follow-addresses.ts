import { Fault } from '../model/fault.ts';
import type { InstanceSettings } from '../settings/register.ts';
import { type Announcer, declare } from './declare.ts';
import { sameDeclaration } from './declared-files.ts';
import type { Declared } from './registration.ts';

/** How often to read this machine's addresses, in ms: no event reports a change, and reading takes 0.1 ms. */
const everyMs = 5000;

/**
 * Reports each instance whose address on this machine changed: a lease of DHCP, a network that a container was connected to.
 * While there is none, or more than one, the last one stays. The returned function ends it.
 */
export function followAddresses(
  instances: readonly { readonly settings: InstanceSettings; readonly declared: Declared }[],
  announcer: () => Announcer,
  onMoved: (index: number, declared: Declared) => void,
): () => void {
  const moving = instances.flatMap(({ settings, declared }, index) =>
    settings.address.kind === 'found' ? [{ settings, declared, index }] : [],
  );
  if (moving.length === 0) return () => undefined;
  const timer = setInterval(() => {
    const now = announcer();
    for (const one of moving) {
      const declared = declare(one.settings, now);
      if (declared instanceof Fault || sameDeclaration(declared, one.declared)) continue;
      one.declared = declared;
      onMoved(one.index, declared);
    }
  }, everyMs);
  return () => clearInterval(timer);
}
