import * as v from 'valibot';
import type { HeaderName } from '../header.ts';
import { parseServiceName, type ServiceName } from '../name.ts';
import { accepted, type Brand, type Parsed, quote, rejected } from '../parsed.ts';
import { duration, parsedText } from './field.ts';
import { parseChangeable } from './headers.ts';

/** The path of the question; it may have a query. */
type AuthPath = Brand<string, 'AuthPath'>;

/** HAProxy asks another service about each request before a server gets it. */
export type ForwardAuth = {
  /** The service that is asked. */
  readonly service: ServiceName;
  readonly path: AuthPath;
  /** The headers of the request that the question has. */
  readonly sendHeaders: readonly HeaderName[];
  /** The headers of the answer that the request gets, in place of the client's own. */
  readonly copyHeaders: readonly HeaderName[];
  readonly timeoutMs: number;
  /** What happens to the request if there is no answer, or one with status 500 or above. */
  readonly onError: 'deny' | 'allow';
  readonly cache: AuthCache | undefined;
};

/** How long an answer that lets a request through counts for equal questions. */
type AuthCache = {
  readonly forMs: number;
  /** `question`: all of the question has to be equal. `credentials`: host and `sendHeaders` have to be. */
  readonly by: 'question' | 'credentials';
};

const defaultSendHeaders = ['Authorization', 'Cookie', 'Accept', 'X-Requested-With'] as readonly string[];

function parseAuthPath(text: string): Parsed<AuthPath> {
  return /^\/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,510}$/.test(text)
    ? accepted(text as AuthPath)
    : rejected(`it is not a path: "/" and then at most 510 characters of a URL`);
}

// HAProxy writes these into the question itself.
const ofQuestion = /^(host|x-forwarded-(for|host|method|proto|uri)|x-real-ip|x-pointsman-.*)$/i;

function parseSent(text: string): Parsed<HeaderName> {
  if (ofQuestion.test(text)) return rejected(`${quote(text)} is a header that HAProxy sets in the question itself`);
  return parseChangeable(text);
}

function parseCopied(text: string): Parsed<HeaderName> {
  if (/^(host|cookie|x-forwarded-(for|host|proto))$/i.test(text))
    return rejected(`${quote(text)} has a meaning of its own: choose another header, such as X-Auth-Request-User`);
  return parseChangeable(text);
}

const mostHeaders = 32;

export const forwardField = v.pipe(
  v.strictObject({
    service: parsedText(parseServiceName),
    path: v.optional(parsedText(parseAuthPath), '/'),
    sendHeaders: v.optional(v.pipe(v.array(parsedText(parseSent)), v.maxLength(mostHeaders)), [...defaultSendHeaders]),
    copyHeaders: v.optional(v.pipe(v.array(parsedText(parseCopied)), v.maxLength(mostHeaders)), []),
    timeout: v.optional(duration, '5s'),
    onError: v.optional(v.picklist(['deny', 'allow']), 'deny'),
    cache: v.optional(duration),
    cacheBy: v.optional(v.picklist(['question', 'credentials'])),
  }),
  v.check(({ cache, cacheBy }) => cache !== undefined || cacheBy === undefined, 'cacheBy needs the field cache'),
  v.transform(
    ({ service, path, sendHeaders, copyHeaders, timeout, onError, cache, cacheBy = 'question' }): ForwardAuth => ({
      ...{ service, path, sendHeaders, copyHeaders, onError },
      timeoutMs: timeout,
      cache: cache === undefined ? undefined : { forMs: cache, by: cacheBy },
    }),
  ),
);
