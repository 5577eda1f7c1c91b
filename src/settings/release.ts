import { declareCommand } from './command.ts';
import { logOptions } from './log.ts';
import { onOff } from './option.ts';
import { registryAndLog, registryOptions } from './registry.ts';

export const releaseCommand = declareCommand({
  name: 'release',
  summary: 'stop holding instances and entries that are gone for good',
  operands: { syntax: '[service]', description: 'the service whose instances, policy and overrides are gone' },
  options: {
    all: onOff('release everything: all services, and the values of files'),
    ...registryOptions,
    ...logOptions,
  },
  assemble: (values) => ({ all: values.all, ...registryAndLog(values) }),
});
