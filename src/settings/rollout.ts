import { type EngineAddress, parseEngineAddress } from '../model/engine-address.ts';
import { declareCommand } from './command.ts';
import { quietLogOptions } from './log.ts';
import { defaulted, list, onOff, type ValuesOf } from './option.ts';
import { registryAndLog, registryOptions } from './registry.ts';
import { durationWord, oneOf, word } from './words.ts';

/** The settings that stopping and replacing containers share. */
type ContainerSettings = {
  /** None: that of $DOCKER_HOST, or Docker's own socket. */
  readonly engines: readonly EngineAddress[];
  readonly drainTimeoutMs: number;
  readonly force: boolean;
  readonly json: boolean;
};

type RolloutSettings = ContainerSettings & {
  readonly timeoutMs: number;
  readonly order: 'start-first' | 'stop-first';
  readonly create: boolean;
};

const engine = {
  ...list(
    'ADDRESS',
    word(parseEngineAddress),
    'API of the container engine: unix:///PATH or tcp://HOST:PORT (default: $DOCKER_HOST, or unix:///var/run/docker.sock)',
  ),
  flagOnly: true,
} as const;

const options = {
  engine,
  drainTimeout: defaulted(
    'DURATION',
    durationWord(0, 86_400_000),
    '30s',
    'how long to wait until no balancer has an open request; then nothing is stopped, and the exit code is 1',
    { flagOnly: true },
  ),
  force: onOff('stop containers after the drain timeout although requests are open'),
  json: onOff('print JSON'),
  ...registryOptions,
  ...quietLogOptions,
};

const containerSettings = (values: ValuesOf<typeof options>): ContainerSettings => ({
  engines: values.engine,
  drainTimeoutMs: values.drainTimeout,
  force: values.force,
  json: values.json,
});

export const stopCommand = declareCommand({
  name: 'stop',
  summary: 'drain containers, and stop them when no request is open',
  operands: { syntax: '<container...>', description: 'names or ids of containers of one engine' },
  options,
  assemble: (values) => ({ ...registryAndLog(values), stop: containerSettings(values) }),
});

export const rolloutCommand = declareCommand({
  name: 'rollout',
  summary: 'replace the containers of a service without a failed request, host after host',
  operands: {
    syntax: '<service>',
    description: 'the service',
    more: [
      {
        syntax: '<command...>',
        description:
          'the command, after --, that starts the new containers; it gets DOCKER_HOST and ROLLOUT_SCALE, the number of containers to run',
      },
    ],
  },
  options: {
    order: defaulted(
      'ORDER',
      oneOf(['start-first', 'stop-first']),
      'start-first',
      'start-first: the command starts new containers next to the old ones, which pointsman removes; stop-first: it replaces containers that pointsman has drained',
      { flagOnly: true },
    ),
    timeout: defaulted(
      'DURATION',
      durationWord(1000, 86_400_000),
      '2m',
      'how long new containers may take until every balancer serves them; then the old ones stay',
      { flagOnly: true },
    ),
    create: onOff(
      'start the first containers of a service; without it, a service that an engine has no container of is refused',
    ),
    ...options,
  },
  assemble: (values) => {
    const rollout: RolloutSettings = {
      ...containerSettings(values),
      timeoutMs: values.timeout,
      order: values.order,
      create: values.create,
    };
    return { ...registryAndLog(values), rollout };
  },
});
