import { parseHost } from '../model/address.ts';
import { type AddressSource, type Net, parseAddressSource, parseNet } from '../model/address-source.ts';
import { type EngineAddress, parseEngineAddress } from '../model/engine-address.ts';
import { Fault } from '../model/fault.ts';
import { type CheckRhythm, type HealthCheck, parseHealthCheck } from '../model/health-check.ts';
import { defaultWeight, type InstanceRole, instanceRoles, mostMeta } from '../model/instance.ts';
import { type InstanceId, parseInstanceId, parseServiceName, type ServiceName } from '../model/name.ts';
import { accepted, type Parsed } from '../model/parsed.ts';
import { adminHostsOption } from './admin-hosts.ts';
import { declareCommand } from './command.ts';
import { logOptions } from './log.ts';
import { defaulted, list, optional, pairs, type ValuesOf } from './option.ts';
import { registryAndLog, registryOptions } from './registry.ts';
import {
  addressWord,
  countWord,
  durationWord,
  labelWord,
  metaWord,
  oneOf,
  pathWord,
  weightWord,
  word,
} from './words.ts';

/** The settings that all instances of a process share, and that a declaration file may change. */
export type InstanceTraits = {
  readonly net: Net | undefined;
  readonly weight: number;
  readonly version: string | undefined;
  readonly zone: string | undefined;
  readonly role: InstanceRole;
  readonly meta: Readonly<Record<string, string>>;
  /** Undefined: not set. */
  readonly check: HealthCheck | undefined;
  readonly rhythm: CheckRhythm;
  /** The consequence for an instance while it is unhealthy. */
  readonly unhealthy: 'withdraw' | 'drain';
};

/** The settings of one instance. */
export type InstanceSettings = InstanceTraits & {
  readonly service: ServiceName;
  /** Undefined: the host name and the port. */
  readonly id: InstanceId | undefined;
  readonly address: AddressSource;
};

/** The containers of an engine, as their labels declare them. */
export type ContainerSource = {
  /** Undefined: the one that `docker` would use. */
  readonly engine: EngineAddress | undefined;
  /** For what the labels leave out. */
  readonly traits: InstanceTraits;
  /** The address of this machine for published ports; undefined: as `--net` finds it. */
  readonly publishedAt: string | undefined;
  /** The consequence for the instances when this process is asked to end, while their containers run on. */
  readonly onStop: 'keep' | 'leave';
};

/** The settings of `pointsman register`. */
export type RegisterSettings = {
  readonly instances: readonly InstanceSettings[];
  /** A folder of declarations, an instance each, and what they leave out. */
  readonly folder: { readonly path: string; readonly traits: InstanceTraits } | undefined;
  readonly containers: ContainerSource | undefined;
  /** How long the registrations outlive our silence, in ms. */
  readonly ttlMs: number;
  /** How long balancers are waited for, that still have requests of an instance that leaves, in ms. */
  readonly drainTimeoutMs: number;
  /** How long the command may take to end after SIGTERM, in ms. */
  readonly graceMs: number;
};

/** The settings that may follow a service and an address. */
export const traitOptions = {
  net: optional(
    'NAME|CIDR',
    word(parseNet),
    'which address of this machine to announce: of an interface (eth0) or in a network (10.0.0.0/8)',
  ),
  weight: optional(
    'WEIGHT',
    weightWord,
    `0 to 256, relative to the other instances of the service (default: ${defaultWeight})`,
  ),
  zone: optional('LABEL', labelWord, 'zone of the instance'),
  role: optional(
    'ROLE',
    oneOf(instanceRoles),
    'active, or backup: gets requests only while no active instance is up (default: active)',
  ),
  meta: pairs('NAME=VALUE', metaWord, `text for your own templates, up to ${mostMeta} times`),
  check: optional(
    'CHECK',
    word(parseHealthCheck),
    'tcp, tcp://:8080, http://:8080/health, https://…, https+insecure://…, cmd:COMMAND, none (default: tcp with a command, else none)',
  ),
  checkInterval: optional(
    'DURATION',
    durationWord(50, 3_600_000),
    'time between two checks; shorter until the first one passes (default: 2s)',
  ),
  checkTimeout: optional('DURATION', durationWord(10, 600_000), 'time limit of one check (default: 2s)'),
  checkRise: optional(
    'COUNT',
    countWord(1, 100),
    'checks in a row that must pass before the instance is healthy (default: 1)',
  ),
  checkFall: optional(
    'COUNT',
    countWord(1, 100),
    'checks in a row that must fail before the instance is unhealthy (default: 3)',
  ),
  unhealthy: optional(
    'WHAT',
    oneOf(['withdraw', 'drain']),
    'withdraw: remove an unhealthy instance; drain: keep it without new requests (default: withdraw)',
  ),
};

const defaultTraits: InstanceTraits = {
  net: undefined,
  weight: defaultWeight,
  version: undefined,
  zone: undefined,
  role: 'active',
  meta: {},
  check: undefined,
  rhythm: { intervalMs: 2000, timeoutMs: 2000, rise: 1, fall: 3 },
  unhealthy: 'withdraw',
};

/** Joins what was given for an instance with what holds otherwise. */
export function traitsOf(
  values: ValuesOf<typeof traitOptions> & { readonly version: string | undefined },
  otherwise: InstanceTraits,
): InstanceTraits | Fault {
  const meta = { ...otherwise.meta, ...values.meta };
  const metaCount = Object.keys(meta).length;
  if (metaCount > mostMeta) {
    return new Fault('settings', `${metaCount} entries are more than ${mostMeta}`, { where: '--meta' });
  }
  const { rhythm } = otherwise;
  return {
    net: values.net ?? otherwise.net,
    weight: values.weight ?? otherwise.weight,
    version: values.version ?? otherwise.version,
    zone: values.zone ?? otherwise.zone,
    role: values.role ?? otherwise.role,
    meta,
    check: values.check ?? otherwise.check,
    rhythm: {
      intervalMs: values.checkInterval ?? rhythm.intervalMs,
      timeoutMs: values.checkTimeout ?? rhythm.timeoutMs,
      rise: values.checkRise ?? rhythm.rise,
      fall: values.checkFall ?? rhythm.fall,
    },
    unhealthy: values.unhealthy ?? otherwise.unhealthy,
  };
}

/** The value of `--containers` for the engine that `docker` would use. */
const usualEngine = 'default';

const parseEngine = (text: string): Parsed<EngineAddress | typeof usualEngine> =>
  text === usualEngine ? accepted(usualEngine) : parseEngineAddress(text);

export const registerCommand = declareCommand({
  name: 'register',
  summary: 'announce instances while this process, or its command, lives',
  operands: {
    syntax: '[command...]',
    description:
      'a command to run, after --: its instances are announced while it lives, and pointsman ends with its exit code',
    passThrough: true,
  },
  options: {
    service: list(
      'NAME[=ADDRESS]',
      word(parseService),
      'service of the instance; repeat it with an address each to announce several',
    ),
    address: optional(
      'ADDRESS',
      word(parseAddressSource),
      "address for balancers: HOST:PORT, :PORT on this machine's address, env:NAME or env:HOSTNAME:PORTNAME from variables",
    ),
    id: optional(
      'NAME',
      word(parseInstanceId),
      'name of the instance within its service (default: the host name and the port)',
    ),
    dir: optional(
      'FOLDER',
      pathWord,
      'folder of YAML and JSON files that declare an instance each; changes are followed', // balance keeps its state in a --dir; one file or environment may serve both.
      { flagOnly: true },
    ),
    containers: optional(
      'ENGINE',
      word(parseEngine),
      'API of Docker or podman, unix:///PATH or tcp://HOST:PORT: announces the containers that have labels for pointsman (without a value, or with `default`: $DOCKER_HOST, or unix:///var/run/docker.sock)',
      { bare: usualEngine },
    ),
    containersHost: optional(
      'HOST',
      word(parseHostName),
      'address of this machine for published ports of containers (default: as --net finds it)',
    ),
    containersOnStop: defaulted(
      'keep|leave',
      oneOf(['keep', 'leave']),
      'keep',
      'at SIGTERM, keep the instances of containers for the next agent until --ttl is over, or let them leave',
    ),
    versionLabel: optional('LABEL', labelWord, 'version of the application'),
    ...traitOptions,
    ttl: defaulted(
      'DURATION', // etcd's least TTL at its default election time-outs is 2 s.
      durationWord(2000, 3_600_000),
      '10s',
      'how long the registration stays after the process was killed',
    ),
    drainTimeout: defaulted(
      'DURATION',
      durationWord(0, 3_600_000),
      '30s',
      'how long an instance that leaves waits for its open requests',
    ),
    grace: defaulted(
      'DURATION',
      durationWord(0, 3_600_000),
      '30s',
      'how long the command may take to end after SIGTERM before SIGKILL',
    ),
    ...registryOptions,
    // Not as a variable or a field: those of `balance`, which one environment or file may serve as well, name the port of the balancer.
    admin: optional('HOST:PORT', addressWord, 'where to serve metrics and health (default: nowhere)', {
      flagOnly: true,
    }),
    ...adminHostsOption,
    ...logOptions,
  },
  assemble: (values) => {
    const shared = registryAndLog(values);
    const traits = traitsOf({ ...values, version: values.versionLabel }, defaultTraits);
    if (traits instanceof Error) throw traits;
    const folder = values.dir === undefined ? undefined : { path: values.dir, traits };
    const containers = containersOf(values, traits);
    const follows = folder !== undefined || containers !== undefined;
    const instances = follows && values.service.length === 0 ? [] : instancesOf(values, traits);
    const { ttl: ttlMs, drainTimeout: drainTimeoutMs, grace: graceMs } = values;
    const register: RegisterSettings = { instances, folder, containers, ttlMs, drainTimeoutMs, graceMs };
    return { ...shared, register, admin: values.admin, adminHosts: values.adminHosts };
  },
});

function containersOf(
  values: {
    readonly containers: EngineAddress | typeof usualEngine | undefined;
    readonly containersHost: string | undefined;
    readonly containersOnStop: 'keep' | 'leave';
  },
  traits: InstanceTraits,
): ContainerSource | undefined {
  const { containers: named, containersHost: publishedAt, containersOnStop: onStop } = values;
  if (named !== undefined) {
    return { engine: named === usualEngine ? undefined : named, traits, publishedAt, onStop };
  }
  if (publishedAt === undefined) return undefined;
  const hint = 'omit it, or give --containers';
  throw new Fault('settings', 'it has no effect without --containers', { where: '--containers-host', hint });
}

function parseHostName(text: string): Parsed<string> {
  const host = parseHost(text);
  return host.ok ? accepted(host.value.host) : host;
}

type NamedService = { readonly service: ServiceName; readonly address: AddressSource | undefined };

function instancesOf(
  values: {
    readonly service: readonly NamedService[];
    readonly address: AddressSource | undefined;
    readonly id: InstanceId | undefined;
  },
  traits: InstanceTraits,
): readonly InstanceSettings[] {
  const missing = (name: string, what: string) => {
    const hint = `give the flag, POINTSMAN_${name.toUpperCase()}, or ${name} in the settings file: ${what}`;
    return new Fault('settings', 'it is missing', { where: `--${name}`, hint });
  };
  if (values.service.length === 0) throw missing('service', 'the service that the instance belongs to');
  if (values.address !== undefined && values.service.every(({ address }) => address !== undefined)) {
    const hint = 'omit it, or name a service without an address';
    throw new Fault('settings', 'it has no effect, because every service has its own address', {
      where: '--address',
      hint,
    });
  }
  const instances: InstanceSettings[] = [];
  for (const { service, address = values.address } of values.service) {
    if (address === undefined) throw missing('address', 'where the balancers reach the instance');
    if (values.id !== undefined && instances.some((other) => other.service === service)) {
      const hint = 'omit it: each instance is then named by its port';
      throw new Fault('settings', `two instances of ${service} cannot have the same id`, { where: '--id', hint });
    }
    instances.push({ ...traits, service, id: values.id, address });
  }
  return instances;
}

function parseService(text: string): Parsed<NamedService> {
  const equals = text.indexOf('=');
  const service = parseServiceName(equals < 0 ? text : text.slice(0, equals));
  if (!service.ok) return service;
  if (equals < 0) return accepted({ service: service.value, address: undefined });
  const address = parseAddressSource(text.slice(equals + 1));
  return address.ok ? accepted({ service: service.value, address: address.value }) : address;
}
