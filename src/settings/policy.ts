import { declareCommand } from './command.ts';
import { type LogSettings, quietLogOptions } from './log.ts';
import { defaulted, onOff, optional } from './option.ts';
import { type RegistrySettings, registryAndLog, registryOptions } from './registry.ts';
import { durationWord, pathWord } from './words.ts';

export const policyActions = ['get', 'set', 'edit', 'delete'] as const;
export type PolicyAction = (typeof policyActions)[number];

export type PolicySettings = {
  readonly registry: RegistrySettings;
  readonly log: LogSettings;
  readonly file: string | undefined;
  readonly json: boolean;
  /** How long to wait for the balancers, in ms; undefined: not at all. */
  readonly timeoutMs: number | undefined;
};

export const policyCommand = declareCommand({
  name: 'policy',
  summary: 'show or change the policy of a service',
  operands: {
    syntax: '<action>',
    description: 'get, set, edit (with $VISUAL or $EDITOR) or delete',
    choices: policyActions,
    more: [
      { syntax: '<service>', description: 'the service' },
      {
        syntax: '[field...]',
        description:
          'of set: FIELD=VALUE (JSON, or text), FIELD- to remove a field, or - to read a policy from standard input',
      },
    ],
  },
  options: {
    file: optional('FILE', pathWord, 'of set: the file with the whole policy, in YAML or JSON', { flagOnly: true }),
    withoutHaproxy: onOff(
      'check the policy without HAProxy, and without the files that it names, which may not be here',
    ),
    json: onOff('print JSON: of get the policy itself, otherwise one object about the change'),
    timeout: defaulted(
      'DURATION',
      durationWord(0, 86_400_000),
      '30s',
      'how long to wait after the write for every balancer to serve it; then the command ends with 1 and names the balancers that do not',
      { flagOnly: true },
    ),
    noWait: onOff('do not wait for the balancers'),
    ...registryOptions,
    ...quietLogOptions,
  },
  assemble: (values): PolicySettings => ({
    ...registryAndLog(values),
    file: values.file,
    json: values.json,
    timeoutMs: values.noWait ? undefined : values.timeout,
  }),
});
