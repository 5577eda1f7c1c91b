import type { Fault } from '../model/fault.ts';
import { declareCommand } from './command.ts';
import { type LogSettings, logOptions, logSettings } from './log.ts';
import { type RegistrySettings, registryOptions, registrySettings } from './registry.ts';

/** `pointsman release`. */
export const releaseCommand = declareCommand({
  name: 'release',
  summary: 'say that the losses of a service are real, so that no balancer holds its instances any longer',
  operands: { syntax: '<service>', description: 'the service whose lost instances are to go' },
  options: { ...registryOptions, ...logOptions },
  assemble: (values): { registry: RegistrySettings; log: LogSettings } | Fault => {
    const registry = registrySettings(values);
    return registry instanceof Error ? registry : { registry, log: logSettings(values) };
  },
});
