import * as v from 'valibot';
import { type HeaderName, type HeaderValue, parseHeaderName, parseHeaderValue } from '../header.ts';
import { accepted, type Parsed, quote, rejected } from '../parsed.ts';
import { parsedText } from './field.ts';

export type Header = { readonly name: HeaderName; readonly value: HeaderValue };

/** The changes of the headers of a message: first removals, then replacements, then additions. */
export type HeaderChanges = {
  readonly remove: readonly HeaderName[];
  /** In place of all others with this name. */
  readonly set: readonly Header[];
  /** Beside the others with this name. */
  readonly add: readonly Header[];
};

export type Headers = { readonly request: HeaderChanges; readonly response: HeaderChanges };

// They say where a message ends and who may change it. A wrong one makes two programs see two different requests.
const framing = /^(connection|content-length|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade)$/i;

/** Reads the name of a header that a policy may change. */
export function parseChangeable(text: string): Parsed<HeaderName> {
  const name = parseHeaderName(text);
  return name.ok && framing.test(text) ? rejected(`${quote(text)} is a header that only HAProxy sets`) : name;
}

const headers = v.pipe(
  v.record(
    v.string(),
    v.pipe(
      parsedText(parseHeaderValue),
      v.check((value) => value !== '', 'it is empty: remove the header'),
    ),
  ),
  v.rawTransform(({ dataset, addIssue, NEVER }): readonly Header[] => {
    const parsed = Object.entries(dataset.value).map(([text, value]) => {
      const name = parseChangeable(text);
      return name.ok ? accepted({ name: name.value, value }) : name;
    });
    const list: Header[] = [];
    for (const header of parsed) {
      if (header.ok) list.push(header.value);
      else {
        addIssue({ message: header.reason });
        return NEVER;
      }
    }
    if (list.length <= 64) return list;
    addIssue({ message: 'it has more than 64 headers' });
    return NEVER;
  }),
);

const nothing: HeaderChanges = { remove: [], set: [], add: [] };
/** Headers pass as they are. */
export const unchangedHeaders: Headers = { request: nothing, response: nothing };

const changes = v.pipe(
  v.strictObject({
    remove: v.optional(v.pipe(v.array(parsedText(parseChangeable)), v.maxLength(64))),
    set: v.optional(headers),
    add: v.optional(headers),
  }),
  v.transform(({ remove, set, add }): HeaderChanges => ({ remove: remove ?? [], set: set ?? [], add: add ?? [] })),
);

export const headersField = v.pipe(
  v.strictObject({ request: v.optional(changes), response: v.optional(changes) }),
  v.transform(({ request, response }): Headers => ({ request: request ?? nothing, response: response ?? nothing })),
);
