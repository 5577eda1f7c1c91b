import { declareCommand } from './command.ts';
import { logOptions } from './log.ts';
import { onOff } from './option.ts';
import { registryAndLog, registryOptions } from './registry.ts';

export const releaseCommand = declareCommand({
  name: 'release',
  summary: 'say that what is missing is gone for good, so that no balancer holds it any longer',
  operands: { syntax: '[service]', description: 'the service whose instances, policy and overrides are to go' },
  options: {
    all: onOff('release everything: all services, and the values of files'),
    ...registryOptions,
    ...logOptions,
  },
  assemble: (values) => ({ all: values.all, ...registryAndLog(values) }),
});
