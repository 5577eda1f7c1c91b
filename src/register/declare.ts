import { Fault } from '../model/fault.ts';
import { formatInstance, parseInstance } from '../model/instance.ts';
import { instanceKey } from '../model/key.ts';
import { parseInstanceId } from '../model/name.ts';
import { accepted } from '../model/parsed.ts';
import type { InstanceSettings } from '../settings/register.ts';
import { resolveCheck } from './check-target.ts';
import { findAddress, type Surroundings } from './find-address.ts';
import type { Declared } from './registration.ts';

/** The place and the process that announce instances. */
export type Announcer = Surroundings & {
  readonly hostname: string;
  /** Names this process and no other. */
  readonly owner: string;
  /** Whether the application is a command of this process. */
  readonly hasCommand: boolean;
};

/** Fills in the settings that were left open, or returns why that is not possible here. */
export function declare(settings: InstanceSettings, announcer: Announcer): Declared | Fault {
  const { service, weight, version, zone, role, meta, rhythm, unhealthy } = settings;
  const address = findAddress(settings.address, settings.net, announcer);
  if (address instanceof Fault) return address;

  // The same after each restart on this machine, and different for two copies on it.
  const named =
    settings.id === undefined ? parseInstanceId(`${announcer.hostname}-${address.port}`) : accepted(settings.id);
  if (!named.ok) return new Fault('settings', named.reason, { where: '--id by default', hint: 'give --id' });
  const id = named.value;

  const check = resolveCheck(settings.check ?? defaultCheck(settings, announcer), settings.address, address);
  if (check instanceof Fault) return check;
  const state = 'ready';
  const labels = { version, zone, role, meta };
  const instance = {
    service,
    id,
    address,
    weight,
    state,
    ...labels,
    owner: announcer.owner,
    checked: check?.kind,
    writtenAt: undefined,
  } as const;
  // Balancers read it by this function: whatever they would refuse, its owner learns at the start.
  const read = parseInstance(service, id, formatInstance(instance));
  if (!read.ok) {
    return new Fault('settings', `balancers would refuse it: ${read.reason}`, { where: instanceKey(service, id) });
  }
  return { instance, check, rhythm, unhealthy };
}

/** A command that was just started does not listen yet; announced now, it would refuse requests. */
function defaultCheck({ address }: InstanceSettings, { hasCommand }: Announcer) {
  return hasCommand && address.kind !== 'environment'
    ? ({ kind: 'tcp', host: undefined, port: undefined } as const)
    : ({ kind: 'none' } as const);
}
