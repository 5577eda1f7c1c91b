import type { Address } from '../model/address.ts';
import { declarationOperands, type SetSettings, setOptions } from './apply.ts';
import { declareCommand } from './command.ts';
import { type LogSettings, quietLogOptions } from './log.ts';
import { onOff, optional, type ValuesOf } from './option.ts';
import { type RegistrySettings, registryAndLog, registryOptions } from './registry.ts';
import { localAdmin } from './see.ts';
import { pathWord } from './words.ts';

/** How balancers are asked what their HAProxy would do. */
export type AskSettings = {
  readonly admin: Address;
  readonly adminTokenFile: string | undefined;
  readonly withoutBalancers: boolean;
};

export type DiffSettings = AskSettings & {
  readonly registry: RegistrySettings;
  readonly log: LogSettings;
  readonly options: SetSettings;
  readonly json: boolean;
};

const askOptions = {
  admin: localAdmin,
  adminTokenFile: optional(
    'FILE',
    pathWord,
    'file with the token of the balancers, needed for balancers on other machines; pointsman sends only a signature',
  ),
};

const askSettings = (values: ValuesOf<typeof askOptions>): Omit<AskSettings, 'withoutBalancers'> => ({
  admin: values.admin,
  adminTokenFile: values.adminTokenFile,
});

export const diffCommand = declareCommand({
  name: 'diff',
  summary: 'show what apply would change, and what HAProxy would do',
  operands: declarationOperands,
  options: {
    ...setOptions,
    withoutBalancers: onOff('do not ask the balancers what their HAProxy would do'),
    json: onOff('print one JSON object'),
    ...askOptions,
    ...registryOptions,
    ...quietLogOptions,
  },
  assemble: (values): DiffSettings => {
    const { set, prune, take, maxPrune, json, withoutBalancers } = values;
    const options = { set, prune, take, maxPrune };
    return { ...registryAndLog(values), ...askSettings(values), options, json, withoutBalancers };
  },
});
