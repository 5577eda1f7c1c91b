import * as v from 'valibot';
import { type Cidr, parseCidr } from '../address.ts';
import { parsedText } from './field.ts';

/** Who may ask, by source address. */
export type Access = {
  /** If there are any, only these may. */
  readonly allow: readonly Cidr[];
  /** These may not, even if they are allowed. */
  readonly deny: readonly Cidr[];
};

const networks = v.pipe(v.array(parsedText(parseCidr)), v.minLength(1), v.maxLength(1000));

export const accessField = v.pipe(
  v.strictObject({ allow: v.optional(networks), deny: v.optional(networks) }),
  v.transform(({ allow, deny }): Access => ({ allow: allow ?? [], deny: deny ?? [] })),
);
