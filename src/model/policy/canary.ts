import * as v from 'valibot';
import { type CookieName, type HeaderName, parseCookieName, parseHeaderName } from '../header.ts';
import { parseLabel } from '../instance.ts';
import { parsedText } from './field.ts';

/** Requests with a header or a cookie go to one version, whatever the split says. */
export type Canary = {
  readonly version: string;
  readonly by:
    | { readonly kind: 'header'; readonly name: HeaderName; readonly value: string }
    | { readonly kind: 'cookie'; readonly name: CookieName; readonly value: string };
};

const value = parsedText(parseLabel);

export const canaryField = v.pipe(
  v.strictObject({
    version: parsedText(parseLabel),
    header: v.optional(v.strictObject({ name: parsedText(parseHeaderName), value })),
    cookie: v.optional(v.strictObject({ name: parsedText(parseCookieName), value })),
  }),
  v.check(({ header, cookie }) => (header === undefined) !== (cookie === undefined), 'it needs a header or a cookie'),
  v.rawTransform(({ dataset, addIssue, NEVER }): Canary => {
    const { version, header, cookie } = dataset.value;
    if (header !== undefined) return { version, by: { kind: 'header', ...header } };
    if (cookie !== undefined) return { version, by: { kind: 'cookie', ...cookie } };
    addIssue({ message: 'it needs a header or a cookie' });
    return NEVER;
  }),
);

/** Which requests go to the version: `requests with the header X-Canary=1`. */
export const describeCanary = ({ by: { kind, name, value } }: Pick<Canary, 'by'>): string =>
  `requests with the ${kind} ${name}=${value}`;
