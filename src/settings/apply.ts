import type { Address } from '../model/address.ts';
import { Fault } from '../model/fault.ts';
import { parseSetName, type SetName } from '../model/set-name.ts';
import { adminHostsOption } from './admin-hosts.ts';
import { declareCommand } from './command.ts';
import { type LogSettings, logOptionsOr, logSettings } from './log.ts';
import { defaulted, onOff, optional } from './option.ts';
import { type RegistrySettings, registryOptions, registrySettings } from './registry.ts';
import { addressWord, countWord, durationWord, word } from './words.ts';

/** How the files of a set are compared with the registry. For `apply` and `diff`. */
export type SetSettings = {
  readonly set: SetName;
  readonly prune: boolean;
  readonly take: boolean;
  readonly maxPrune: number;
};

export type ApplySettings = {
  readonly registry: RegistrySettings;
  readonly log: LogSettings;
  readonly options: SetSettings;
  /** How long to wait for the balancers, in ms; undefined: not at all. */
  readonly timeoutMs: number | undefined;
  readonly json: boolean;
  /** Goes on until a signal, and applies each change of the files. */
  readonly watch: boolean;
  /** How often to compare the registry with the files although they did not change, in ms. */
  readonly intervalMs: number;
  readonly admin: Address | undefined;
  readonly adminHosts: readonly string[];
};

export const setOptions = {
  set: defaulted('NAME', word(parseSetName), 'default', 'name of the set that owns what these files declare', {
    flagOnly: true,
  }),
  prune: onOff('remove what the set owns and the files no longer declare'),
  withoutHaproxy: onOff(
    'check the files without HAProxy, and without the files that policies name, which may not be here',
  ),
  take: onOff('take over keys that another set owns, or that somebody wrote with another value'),
  maxPrune: defaulted('COUNT', countWord(0, 1_000_000), '20', 'most keys that --prune may remove', { flagOnly: true }),
};

export const declarationOperands = {
  syntax: '<path...>',
  description:
    'files or folders of declarations (- is standard input): policies, claims, static instances, overrides, values under keys/',
};

export const applyCommand = declareCommand({
  name: 'apply',
  summary: 'write what files declare, and wait until every balancer serves it',
  operands: declarationOperands,
  options: {
    ...setOptions,
    timeout: defaulted(
      'DURATION',
      durationWord(0, 86_400_000),
      '30s',
      'how long to wait after the write for every balancer to serve it; then the command ends with 1 and names the balancers that do not',
      { flagOnly: true },
    ),
    noWait: onOff('do not wait for the balancers'),
    json: onOff('print the result as one JSON object'),
    watch: onOff('apply each change of the files until a signal, and restore what others change'),
    once: onOff('apply once, then end (the default)'),
    interval: defaulted(
      'DURATION',
      durationWord(1000, 86_400_000),
      '1m',
      'with --watch, how often to restore what others changed in the registry',
    ),
    ...registryOptions,
    admin: optional('HOST:PORT', addressWord, 'with --watch, where to serve metrics and health (default: nowhere)'),
    ...adminHostsOption,
    ...logOptionsOr('info with --watch, else warn'),
  },
  assemble: (values): ApplySettings => {
    const { set, prune, take, maxPrune, watch, once, json, noWait, timeout, interval, admin, adminHosts } = values;
    if (watch && once) throw new Fault('settings', 'it cannot be used with --watch', { where: '--once' });
    if (watch && json) throw new Fault('settings', 'it cannot be used with --watch, which logs', { where: '--json' });
    return {
      registry: registrySettings(values),
      log: logSettings({ ...values, logLevel: values.logLevel ?? (watch ? 'info' : 'warn') }),
      options: { set, prune, take, maxPrune },
      timeoutMs: noWait ? undefined : timeout,
      ...{ json, watch, intervalMs: interval, admin, adminHosts },
    };
  },
});
