import { type Address, parseAddress } from '../model/address.ts';
import { Fault } from '../model/fault.ts';
import { defaultWeight } from '../model/instance.ts';
import { type InstanceId, parseInstanceId, parseServiceName, type ServiceName } from '../model/name.ts';
import { accepted, type Parsed, refused } from '../model/parsed.ts';
import { declareCommand } from './command.ts';
import { type LogSettings, logOptions, logSettings } from './log.ts';
import { defaulted, type Machine, optional, pairs, required } from './option.ts';
import { type RegistrySettings, registryOptions, registrySettings } from './registry.ts';
import { durationWord, labelWord, metaWord, weightWord, word } from './words.ts';

/** What an application's owner sets for its registration. */
export type RegisterSettings = {
  readonly service: ServiceName;
  readonly id: InstanceId;
  readonly address: Address;
  /** How long the registration outlives our silence, in ms. */
  readonly ttlMs: number;
  /** How long the command may take to end after SIGTERM, in ms. */
  readonly graceMs: number;
  readonly weight: number;
  readonly version: string | undefined;
  readonly zone: string | undefined;
  readonly meta: Readonly<Record<string, string>>;
};

const mostMeta = 32;

/** `pointsman register`. */
export const registerCommand = declareCommand({
  name: 'register',
  summary: 'announce an instance for as long as this process, or the command it runs, lives',
  operands: {
    syntax: '[command...]',
    description: 'a command to run (after --): announced while it lives, and its exit code is passed on',
    passThrough: true,
  },
  options: {
    service: required({
      placeholder: 'NAME',
      description: 'the service that the instance belongs to',
      word: word(parseServiceName),
    }),
    address: required({
      placeholder: 'HOST:PORT',
      description: 'where the balancers reach the instance',
      word: word(parseReachable),
    }),
    id: optional({
      placeholder: 'NAME',
      description: "the instance's name within its service (default: the host name and the port)",
      word: word(parseInstanceId),
    }),
    ttl: defaulted({
      placeholder: 'DURATION',
      description: 'how long the registration outlives a process that died without a word',
      // etcd's least TTL at its default election time-outs is 2 s.
      word: durationWord(2000, 3_600_000),
      fallback: '10s',
    }),
    grace: defaulted({
      placeholder: 'DURATION',
      description: 'how long the command may take to end after SIGTERM before it is killed',
      word: durationWord(0, 3_600_000),
      fallback: '30s',
    }),
    weight: defaulted({
      placeholder: 'WEIGHT',
      description: 'share of the traffic relative to its siblings, 0 to 256',
      word: weightWord,
      fallback: String(defaultWeight),
    }),
    versionLabel: optional({ placeholder: 'LABEL', description: "the application's version", word: labelWord }),
    zone: optional({ placeholder: 'LABEL', description: 'where the instance runs', word: labelWord }),
    meta: pairs({
      placeholder: 'NAME=VALUE',
      description: `something that templates may use; up to ${mostMeta} times`,
      word: metaWord,
    }),
    ...registryOptions,
    ...logOptions,
  },
  assemble: (values, machine): { registry: RegistrySettings; log: LogSettings; register: RegisterSettings } | Fault => {
    const registry = registrySettings(values);
    if (registry instanceof Error) return registry;
    const { service, address, ttl: ttlMs, grace: graceMs, weight, versionLabel: version, zone, meta } = values;
    const metaCount = Object.keys(meta).length;
    if (metaCount > mostMeta) {
      return new Fault('settings', `${metaCount} entries are more than ${mostMeta}`, { where: '--meta' });
    }
    const id: Parsed<InstanceId> = values.id === undefined ? defaultId(machine, address) : accepted(values.id);
    if (!id.ok) return new Fault('settings', id.reason, { where: '--id by default', hint: 'give --id' });
    const register = { service, id: id.value, address, ttlMs, graceMs, weight, version, zone, meta };
    return { registry, log: logSettings(values), register };
  },
});

/** The same after each restart on this machine, and different for two copies on it. */
function defaultId({ hostname }: Machine, { port }: Address): Parsed<InstanceId> {
  return parseInstanceId(`${hostname}-${port}`);
}

function parseReachable(text: string): Parsed<Address> {
  const address = parseAddress(text);
  if (!address.ok) return address;
  const { host } = address.value;
  return host === '0.0.0.0' || /^[0:]+$/.test(host)
    ? refused(`${host} is where a server listens, not where it is reached: give the address that balancers connect to`)
    : address;
}
