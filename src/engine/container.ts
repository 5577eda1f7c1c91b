/** The state of a container's HEALTHCHECK; `none`: it has no HEALTHCHECK. */
export type ContainerHealth = 'none' | 'starting' | 'healthy' | 'unhealthy';

/** A port of a container that is published on its host. */
export type PublishedPort = {
  /** Within the container. */
  readonly port: number;
  /** `0.0.0.0` and `::`: at all addresses of the host. */
  readonly hostIp: string;
  readonly hostPort: number;
};

/** A network that a container is connected to. */
type ContainerNetwork = {
  readonly name: string;
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
};

/** A container, as far as pointsman looks at it. The same for Docker and podman. */
export type Container = {
  readonly id: string;
  /** Without the leading `/`. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /**
   * `running`; `paused`; `stopping` (podman alone): it was asked to end and still runs; `over`: it does not run. Docker has no word for
   * `stopping`, its `kill` event tells.
   */
  readonly phase: 'running' | 'paused' | 'stopping' | 'over';
  readonly health: ContainerHealth;
  /** Its first process, in the PID namespace of the engine; 0 when it does not run. */
  readonly pid: number;
  /** When its present run began, as the engine writes it: another value means that it was restarted. */
  readonly startedAt: string;
  /** When it was created, in ms since 1970; 0 where the engine does not say. */
  readonly createdAt: number;
  /** The number of the signal that the engine stops it with. */
  readonly stopSignal: number;
  /** How long the engine waits after the stop signal before SIGKILL, in ms. */
  readonly stopTimeoutMs: number;
  /** `host`: it has the network of its host. */
  readonly networkMode: string;
  /** The TCP ports that its image or its command line exposes, ascending. */
  readonly exposed: readonly number[];
  /** Its TCP ports that are published. */
  readonly published: readonly PublishedPort[];
  readonly networks: readonly ContainerNetwork[];
};

/** A container in a list, which says less than an inspection. */
export type ListedContainer = {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The engine's word: `running`, `paused`, `exited`. */
  readonly state: string;
};

/** An event of a container, or of a network that a container was connected to. */
export type EngineEvent = {
  /** `start`, `kill`, `die`, `health_status`, `connect`. */
  readonly action: string;
  /** The id of the container. */
  readonly container: string;
  /** Of `kill`, where the engine says it. */
  readonly signal: number | undefined;
  /** Of `die`, where the engine says it. */
  readonly exitCode: number | undefined;
  /** Of `health_status`. */
  readonly health: string | undefined;
  /** When it happened, in ns since 1970, as a decimal. */
  readonly timeNano: string;
};
