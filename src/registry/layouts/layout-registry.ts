import type { Registry } from '../registry.ts';
import type { Layout } from './layout.ts';
import { type LayoutRejection, LayoutTransform } from './layout-transform.ts';

/**
 * A registry whose tree has another layout, as if it had ours, for those that follow it. `registry` has the layout's
 * prefix as its root. Reading and writing go to the foreign tree as it is.
 */
export function withLayout(
  registry: Registry,
  layout: Layout,
  onRejected: (rejection: LayoutRejection) => void,
): Registry {
  // Each by name: an adapter may be an object of a class, whose methods a spread leaves behind.
  return {
    location: registry.location,
    keysAreFiles: registry.keysAreFiles,
    read: (prefix, signal) => registry.read(prefix, signal),
    write: (key, value, options) => registry.write(key, value, options),
    replace: (key, value, since, signal) => registry.replace(key, value, since, signal),
    transact: (transaction, signal) => registry.transact(transaction, signal),
    remove: (key, signal) => registry.remove(key, signal),
    openSession: (options) => registry.openSession(options),
    close: () => registry.close(),
    // The ranges are of our own layout: all of the foreign tree is followed, whatever part of ours is wanted.
    follow(onEvent) {
      const transform = new LayoutTransform(layout);
      return registry.follow((event) => {
        const { event: mapped, rejected } = transform.take(event);
        for (const rejection of rejected) onRejected(rejection);
        onEvent(mapped);
      });
    },
  };
}
