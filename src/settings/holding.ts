import { accepted, type Parsed, quote, rejected } from '../model/parsed.ts';
import { parseShare } from '../model/quantity.ts';
import { defaulted, optional, type ValuesOf } from './option.ts';
import { durationWord, word } from './words.ts';

/** When entries that vanish from the registry are held, and for how long. */
export type HoldingSettings = {
  /** In ms; undefined: until an operator releases them. */
  readonly holdMs: number | undefined;
  /** 0 to 1; undefined: never. */
  readonly allShare: number | undefined;
  readonly serviceShare: number | undefined;
};

const bound = word((text: string): Parsed<number | undefined> => {
  if (text === 'never') return accepted(undefined);
  const share = parseShare(text);
  return share.ok && share.value > 0 ? share : rejected(`${quote(text)} is neither 1% to 100% nor never`);
});

export const holdForOption = {
  holdFor: optional(
    'DURATION',
    durationWord(1000, 2_592_000_000),
    'how long to hold entries that a wiped, restored or emptied registry lost (default: until `pointsman release`)',
  ),
};

export const holdingOptions = {
  ...holdForOption,
  holdDeleted: defaulted(
    'PERCENT|never',
    bound,
    '100%',
    'hold deleted entries if at least this share of the entries of all services is deleted at once',
  ),
  holdDeletedService: defaulted(
    'PERCENT|never',
    bound,
    'never',
    'hold deleted entries if at least this share of the entries of one service is deleted at once',
  ),
};

export const holdingSettings = (values: ValuesOf<typeof holdingOptions>): HoldingSettings => ({
  holdMs: values.holdFor,
  allShare: values.holdDeleted,
  serviceShare: values.holdDeletedService,
});
