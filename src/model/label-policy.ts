import * as v from 'valibot';
import type { ServiceName } from './name.ts';
import type { Parsed } from './parsed.ts';
import { parseEntry } from './policy/field.ts';

/** The policy that the containers of one host ask for a service, as `labels/<service>/<host>` holds it under the agent's lease. */
export type LabelPolicy = {
  /** The JSON of the policy. Undefined: the labels that ask for one have a mistake, so the policy in the registry has to stay. */
  readonly policy?: string | undefined;
  /** The container of the host that decides about the policy of the service. */
  readonly container: string;
  /** When it was created, in ms since 1970. */
  readonly created: number;
  /** Whether its instance has been in the registry. If not, it decides only as long as this holds for no other container. */
  readonly announced: boolean;
  /** Other containers of the host that ask for another policy; at most five of them. */
  readonly against: readonly string[];
};

const text = (most: number) => v.pipe(v.string(), v.maxLength(most));
const schema = v.strictObject({
  policy: v.optional(text(65_536)),
  container: text(256),
  created: v.pipe(v.number(), v.integer(), v.minValue(0)),
  announced: v.boolean(),
  against: v.pipe(v.array(text(256)), v.maxLength(5)),
});

/** The key of what the labels on one host say about a service. */
export const labelsKey = (service: ServiceName, host: string): string => `labels/${service}/${host}`;

/** Reads the value of `labels/<service>/<host>`. */
export const parseLabelPolicy = (value: string): Parsed<LabelPolicy> => parseEntry(value, schema, 'a policy of labels');

export const formatLabelPolicy = ({ policy, container, created, announced, against }: LabelPolicy): string =>
  JSON.stringify({ policy, container, created, announced, against: against.slice(0, 5) });
