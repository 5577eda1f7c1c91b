import type { Fault } from '../model/fault.ts';
import { declareCommand } from './command.ts';
import { type LogSettings, logOptions, logSettings } from './log.ts';
import { onOff } from './option.ts';
import { type RegistrySettings, registryOptions, registrySettings } from './registry.ts';

export type ReleaseSettings = {
  readonly all: boolean;
  readonly registry: RegistrySettings;
  readonly log: LogSettings;
};

/** `pointsman release`. */
export const releaseCommand = declareCommand({
  name: 'release',
  summary: 'say that what is missing is gone for good, so that no balancer holds it any longer',
  operands: { syntax: '[service]', description: 'the service whose instances, policy and overrides are to go' },
  options: {
    all: onOff({ description: 'everything that is held: all services, and the values of files' }),
    ...registryOptions,
    ...logOptions,
  },
  assemble: (values): ReleaseSettings | Fault => {
    const registry = registrySettings(values);
    return registry instanceof Error ? registry : { all: values.all, registry, log: logSettings(values) };
  },
});
