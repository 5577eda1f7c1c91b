import { isIP } from 'node:net';
import * as v from 'valibot';
import type { Container, ContainerHealth, EngineEvent, ListedContainer, PublishedPort } from './container.ts';
import { signalNumber } from './signals.ts';

/** Engines leave out, or answer with null, what is empty. */
const orElse = <T>(schema: v.GenericSchema<unknown, T>, otherwise: T) => v.fallback(schema, otherwise);
const text = orElse(v.string(), '');
const labels = orElse(v.record(v.string(), v.string()), {});

const listed = v.object({
  Id: v.pipe(v.string(), v.minLength(1)),
  Names: orElse(v.array(v.string()), []),
  Labels: labels,
  State: text,
});

const binding = v.object({ HostIp: text, HostPort: text });
const network = v.object({ IPAddress: text, GlobalIPv6Address: text });

const inspected = v.object({
  Id: v.pipe(v.string(), v.minLength(1)),
  Name: text,
  Created: text,
  State: v.object({
    Status: text,
    Running: orElse(v.boolean(), false),
    Paused: orElse(v.boolean(), false),
    Pid: orElse(v.number(), 0),
    StartedAt: text,
    Health: orElse(v.object({ Status: text }), { Status: '' }),
  }),
  Config: v.object({
    Labels: labels,
    ExposedPorts: orElse(v.record(v.string(), v.unknown()), {}),
    StopSignal: orElse(v.union([v.string(), v.number()]), ''),
    StopTimeout: orElse(v.nullish(v.number()), undefined),
  }),
  HostConfig: orElse(v.object({ NetworkMode: text }), { NetworkMode: '' }),
  NetworkSettings: orElse(
    v.object({
      Ports: orElse(v.record(v.string(), v.nullable(v.array(binding))), {}),
      Networks: orElse(v.record(v.string(), network), {}),
    }),
    { Ports: {}, Networks: {} },
  ),
});

const event = v.object({
  Type: text,
  Action: text,
  Actor: v.object({ ID: text, Attributes: labels }),
  timeNano: orElse(v.number(), 0),
  time: orElse(v.number(), 0),
});

/** Reads the answer to `GET /containers/json`. Throws when it is not one. */
export function readList(json: unknown): readonly ListedContainer[] {
  return v.parse(v.array(listed), json).map(({ Id, Names, Labels, State }) => ({
    id: Id,
    name: withoutSlash(Names[0] ?? Id.slice(0, 12)),
    labels: Labels,
    state: State,
  }));
}

/** Reads the answer to `GET /containers/X/json`. Throws when it is not one. */
export function readContainer(json: unknown): Container {
  const { Id, Name, Created, State, Config, HostConfig, NetworkSettings } = v.parse(inspected, json);
  return {
    id: Id,
    name: withoutSlash(Name),
    labels: Config.Labels,
    phase: phaseOf(State),
    health: healthOf(State.Health.Status),
    pid: State.Pid,
    startedAt: State.StartedAt,
    createdAt: Date.parse(Created) || 0,
    stopSignal: signalNumber(Config.StopSignal) ?? 15,
    stopTimeoutMs: (Config.StopTimeout ?? 10) * 1000,
    networkMode: HostConfig.NetworkMode,
    exposed: [
      ...new Set([...Object.keys(Config.ExposedPorts), ...Object.keys(NetworkSettings.Ports)].flatMap(tcpPort)),
    ].sort((one, other) => one - other),
    published: Object.entries(NetworkSettings.Ports).flatMap(([key, bindings]) => publishedOf(key, bindings ?? [])),
    networks: Object.entries(NetworkSettings.Networks).map(([name, { IPAddress, GlobalIPv6Address }]) => ({
      name,
      ipv4: isIP(IPAddress) === 4 ? IPAddress : undefined,
      ipv6: isIP(GlobalIPv6Address) === 6 ? GlobalIPv6Address : undefined,
    })),
  };
}

/** Reads a line of `GET /events`; undefined when it is about nothing that pointsman looks at. */
export function readEvent(line: string): EngineEvent | undefined {
  const read = v.safeParse(event, jsonOf(line));
  if (!read.success) return undefined;
  const { Type, Action, Actor, timeNano, time } = read.output;
  const { ID, Attributes } = Actor;
  const [action = '', detail] = Action.split(/:\s*/, 2);
  const container = Type === 'network' ? Attributes['container'] : ID;
  if (container === undefined || container === '') return undefined;
  return {
    action: action === 'died' ? 'die' : action,
    container,
    signal: signalNumber(Attributes['signal'] ?? ''),
    exitCode: numberOf(Attributes['exitCode'] ?? Attributes['containerExitCode']),
    health: action === 'health_status' ? detail : undefined,
    // JSON's numbers are not exact up to ns: the last digits may be off, which nothing depends on.
    timeNano: String(timeNano || time * 1e9),
  };
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function phaseOf({ Status, Running, Paused }: v.InferOutput<typeof inspected>['State']): Container['phase'] {
  if (Status === 'stopping') return 'stopping';
  if (Paused || Status === 'paused') return 'paused';
  // Docker's `restarting` counts as running as well, though nothing runs between two attempts.
  return Running && Status !== 'restarting' ? 'running' : 'over';
}

const healths: readonly ContainerHealth[] = ['starting', 'healthy', 'unhealthy'];
const healthOf = (status: string): ContainerHealth => healths.find((health) => health === status) ?? 'none';

const withoutSlash = (name: string): string => name.replace(/^\//, '');

function tcpPort(key: string): readonly number[] {
  const [port, protocol = 'tcp'] = key.split('/');
  return protocol === 'tcp' && Number(port) > 0 ? [Number(port)] : [];
}

const publishedOf = (key: string, bindings: readonly v.InferOutput<typeof binding>[]): readonly PublishedPort[] =>
  tcpPort(key).flatMap((port) =>
    bindings.flatMap(({ HostIp, HostPort }) =>
      // podman writes nothing for all addresses.
      Number(HostPort) > 0 ? [{ port, hostIp: HostIp === '' ? '0.0.0.0' : HostIp, hostPort: Number(HostPort) }] : [],
    ),
  );

const numberOf = (digits: string | undefined): number | undefined =>
  digits !== undefined && /^\d+$/.test(digits) ? Number(digits) : undefined;
