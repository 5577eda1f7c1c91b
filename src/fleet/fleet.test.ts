import { expect, test } from 'vitest';
import { change, drained, entry, idle, snapshot, value } from '../../test/support/barrier.ts';
import type { Registry, RegistryEvent } from '../registry/registry.ts';
import { formatEnded } from './acknowledgement.ts';
import { describeVanished } from './barrier.ts';
import { Fleet } from './fleet.ts';

const unused = () => {
  throw new Error('not asked for');
};

/** A fleet, and a way to tell it what happens in the registry. */
function open() {
  let tell: (event: RegistryEvent) => void = unused;
  const registry: Registry = {
    ...{ location: 'here', keysAreFiles: false, read: unused, write: unused, replace: unused, transact: unused },
    ...{ remove: unused, openSession: unused, close: unused },
    follow: (onEvent) => {
      tell = onEvent;
      return { close: async () => undefined };
    },
  };
  const fleet = new Fleet(registry);
  const says = (name: string, text: string) => tell(change({ kind: 'put', entry: entry(`balancers/${name}`, text) }));
  const vanishes = (name: string) =>
    tell(change({ kind: 'delete', key: `balancers/${name}`, revision: drained.revision }));
  tell(snapshot({ one: value(), two: value() }));
  return { fleet, says, vanishes, wait: fleet.wait(drained, new AbortController().signal) };
}

test('a balancer that vanishes before it drained an instance is not waited for, and is named', async () => {
  const { says, vanishes, wait } = open();
  says('one', value(idle));
  vanishes('two');
  expect(await wait).toEqual({ kind: 'reached', reached: ['one'], vanished: ['two'] });
});

test('the last balancer that vanishes is named, too', async () => {
  const { vanishes, wait } = open();
  vanishes('two');
  vanishes('one');
  expect(await wait).toEqual({ kind: 'nobody', vanished: ['one', 'two'] });
});

test('a balancer that vanishes after it drained an instance is not named', async () => {
  const { says, vanishes, wait } = open();
  says('two', value(idle));
  vanishes('two');
  says('one', value(idle));
  expect(await wait).toEqual({ kind: 'reached', reached: ['one'], vanished: [] });
});

test('a balancer that left after its HAProxy had ended is not named', async () => {
  const { says, vanishes, wait } = open();
  says('two', formatEnded(value()));
  vanishes('two');
  says('one', value(idle));
  expect(await wait).toEqual({ kind: 'reached', reached: ['one'], vanished: [] });
});

test('a balancer that left and came back is named when it vanishes', async () => {
  const { says, vanishes, wait } = open();
  says('two', formatEnded(value()));
  says('two', value());
  vanishes('two');
  says('one', value(idle));
  expect(await wait).toEqual({ kind: 'reached', reached: ['one'], vanished: ['two'] });
});

test('a balancer that vanishes and comes back is waited for', async () => {
  const { says, vanishes, wait } = open();
  vanishes('two');
  says('two', value());
  says('one', value(idle));
  says('two', value(idle));
  expect(await wait).toEqual({ kind: 'reached', reached: ['one', 'two'], vanished: [] });
});

test('balancers that vanished are described in the singular and the plural', () => {
  expect(describeVanished([])).toBeUndefined();
  expect(describeVanished(['a'])).toContain('a stopped answering before it confirmed the drain, and its HAProxy');
  expect(describeVanished(['a', 'b'])).toContain('a, b stopped answering before they confirmed the drain, and their');
});
