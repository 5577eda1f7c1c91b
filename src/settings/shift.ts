import type { Address } from '../model/address.ts';
import { Fault } from '../model/fault.ts';
import { parseCookieName, parseHeaderName } from '../model/header.ts';
import { parseLabel } from '../model/instance.ts';
import { accepted, type Parsed, quote, rejected } from '../model/parsed.ts';
import { declareCommand } from './command.ts';
import { quietLogOptions } from './log.ts';
import { defaulted, onOff, optional } from './option.ts';
import { registryAndLog, registryOptions } from './registry.ts';
import { localAdmin } from './see.ts';
import { durationWord, labelWord, word } from './words.ts';

/** How traffic goes to another version, step by step. */
export type ShiftSettings = {
  readonly to: string;
  /** In percent, rising. */
  readonly weights: readonly number[];
  /** The requests that the version gets first; undefined: a share of all. */
  readonly only: CanaryBy | undefined;
  readonly everyMs: number;
  /** 0 to 1; undefined: it goes on whatever happens. */
  readonly abortIfErrors: number | undefined;
  /** Whether a step with too few requests to judge its errors passes. */
  readonly allowFewRequests: boolean;
  readonly admin: Address;
  readonly json: boolean;
};

/** The header or the cookie of the first requests, as in the field `canary` of a policy. */
type CanaryBy = { readonly header: NamedValue } | { readonly cookie: NamedValue };
type NamedValue = { readonly name: string; readonly value: string };

const canaryWord = (parseName: (text: string) => Parsed<string>) =>
  word((text: string): Parsed<NamedValue> => {
    const at = text.indexOf('=');
    if (at === -1) return rejected(`${quote(text)} is not NAME=VALUE`);
    const name = parseName(text.slice(0, at));
    if (!name.ok) return name;
    const value = parseLabel(text.slice(at + 1));
    return value.ok ? accepted({ name: name.value, value: value.value }) : value;
  });

function parsePercent(text: string): Parsed<number> {
  const percent = /^(\d{1,3}(?:\.\d{1,2})?)%$/.exec(text)?.[1];
  return percent !== undefined && Number(percent) > 0 && Number(percent) <= 100
    ? accepted(Number(percent))
    : rejected(`${quote(text)} is not a share: above 0% and up to 100%`);
}

function parseSteps(text: string): Parsed<readonly number[]> {
  const steps: number[] = [];
  for (const part of text.split(',')) {
    const percent = parsePercent(part);
    if (!percent.ok) return percent;
    if (percent.value <= (steps.at(-1) ?? 0)) return rejected(`${quote(text)} does not rise`);
    steps.push(percent.value);
  }
  return steps.length > 50 ? rejected('it has more than 50 steps') : accepted(steps);
}

export const shiftCommand = declareCommand({
  name: 'shift',
  summary: 'move requests to another version step by step, and back on errors',
  operands: { syntax: '<service>', description: 'the service' },
  options: {
    to: optional('VERSION', labelWord, 'version that gets more requests (required)', { flagOnly: true }),
    weight: defaulted('PERCENT[,PERCENT…]', word(parseSteps), '5%,25%,100%', 'share of that version at each step', {
      flagOnly: true,
    }),
    every: defaulted('DURATION', durationWord(1000, 86_400_000), '30s', 'how long to watch each step but the last', {
      flagOnly: true,
    }),
    onlyHeader: optional(
      'NAME=VALUE',
      canaryWord(parseHeaderName),
      'before the first step, give that version only requests with this header',
      {
        flagOnly: true,
      },
    ),
    onlyCookie: optional(
      'NAME=VALUE',
      canaryWord(parseCookieName),
      'before the first step, give that version only requests with this cookie',
      {
        flagOnly: true,
      },
    ),
    abortIfErrors: optional(
      'PERCENT',
      word(parsePercent),
      'restore the former split if more than this share of its requests fails (5xx, refused or broken connections)',
      { flagOnly: true },
    ),
    allowFewRequests: onOff('go on after a step with too few requests to judge its errors (fewer than 20)'),
    admin: localAdmin,
    json: onOff('print the steps as JSON lines'),
    ...registryOptions,
    ...quietLogOptions,
  },
  assemble: (values) => {
    const { to, weight: weights, every: everyMs, abortIfErrors, allowFewRequests, admin, json } = values;
    const { onlyHeader: header, onlyCookie: cookie } = values;
    if (header !== undefined && cookie !== undefined) {
      const hint = 'choose one of --only-header and --only-cookie';
      throw new Fault('settings', 'it excludes --only-header', { where: '--only-cookie', hint });
    }
    const only = header === undefined ? cookie && { cookie } : { header };
    if (to === undefined) {
      throw new Fault('settings', 'it is missing', { where: '--to', hint: 'name the version: --to v2' });
    }
    const share = abortIfErrors === undefined ? undefined : abortIfErrors / 100;
    const shift: ShiftSettings = { to, weights, only, everyMs, abortIfErrors: share, allowFewRequests, admin, json };
    return { ...registryAndLog(values), shift };
  },
});

export const pinCommand = declareCommand({
  name: 'pin',
  summary: 'keep new versions of a service without requests until a shift',
  operands: { syntax: '<service>', description: 'the service' },
  options: { json: onOff('print JSON'), ...registryOptions, ...quietLogOptions },
  assemble: (values) => ({ ...registryAndLog(values), json: values.json }),
});
