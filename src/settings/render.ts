import { Fault } from '../model/fault.ts';
import { type BalanceSettings, balancerOptions, balancerSettings } from './balance.ts';
import { declareCommand } from './command.ts';
import { onOff, optional } from './option.ts';
import type { RegistrySettings } from './registry.ts';
import { pathWord } from './words.ts';

/** The output of `render`. `watch`: what would be done, for each change. */
type Rendering = { readonly kind: 'print' | 'diff' | 'watch' } | { readonly kind: 'write'; readonly folder: string };

/** The settings of `render`: its input, its registry and its output. */
export type RenderSettings = {
  readonly what: Rendering;
  readonly json: boolean;
  readonly registry: RegistrySettings;
  readonly layout: string | undefined;
  readonly balance: BalanceSettings;
};

export const renderCommand = declareCommand({
  name: 'render',
  summary: 'show what a balancer would do, without doing it',
  options: {
    out: optional(
      'FOLDER',
      pathWord,
      'write haproxy.cfg and the folder maps into this folder instead of printing them',
      {
        flagOnly: true,
      },
    ),
    diff: onOff('print what would change in --dir: commands, reloads with their reasons, files'),
    watch: onOff('print --diff for each change of the registry (like balance --dry-run)'),
    json: onOff('print JSON; with --watch one line for each change'),
    ...balancerOptions,
  },
  assemble: ({ out, diff, watch, json, ...values }): RenderSettings => {
    const settings = balancerSettings(values);
    if (out !== undefined && (diff || watch)) {
      throw new Fault('settings', 'it cannot be used with --out', { where: diff ? '--diff' : '--watch' });
    }
    const rendering: Rendering =
      out === undefined ? { kind: watch ? 'watch' : diff ? 'diff' : 'print' } : { kind: 'write', folder: out };
    const { registry, layout, balance } = settings;
    return { what: rendering, json, registry, layout, balance };
  },
});
