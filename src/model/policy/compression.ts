import * as v from 'valibot';
import { accepted, type Brand, type Parsed, quote, rejected } from '../parsed.ts';
import { parsedText } from './field.ts';

/** A media type, `text/html`. */
type MediaType = Brand<string, 'MediaType'>;

/** Which responses are compressed for clients that accept it. */
export type Compression = { readonly types: readonly MediaType[] };

const mediaType = /^[a-z0-9][a-z0-9.+-]{0,62}\/[a-z0-9][a-z0-9.+-]{0,62}$/;

function parseMediaType(text: string): Parsed<MediaType> {
  return mediaType.test(text)
    ? accepted(text as MediaType)
    : rejected(`${quote(text)} is not a media type: text/html, in lower case`);
}

const usual = [
  ...['text/html', 'text/plain', 'text/css', 'text/javascript', 'text/xml', 'image/svg+xml'],
  ...['application/javascript', 'application/json', 'application/xml', 'application/wasm'],
];

export const compressionField = v.pipe(
  v.strictObject({
    types: v.optional(v.pipe(v.array(parsedText(parseMediaType)), v.minLength(1), v.maxLength(40)), usual),
  }),
  v.transform((compression): Compression => compression),
);
