import * as v from 'valibot';
import { whole } from './field.ts';

/** The answer to a request without TLS: HAProxy serves it, or redirects it to this port of HTTPS. */
export type Https = { readonly kind: 'optional' } | { readonly kind: 'redirect'; readonly port: number };

export const optionalHttps: Https = { kind: 'optional' };

const byName = v.pipe(
  v.picklist(['optional', 'redirect']),
  v.transform((kind): Https => (kind === 'redirect' ? { kind, port: 443 } : optionalHttps)),
);

const byPort = v.pipe(
  v.strictObject({ redirect: whole(1, 65535) }),
  v.transform(({ redirect }): Https => ({ kind: 'redirect', port: redirect })),
);

/** `"redirect"` or `{"redirect": 8443}`. Chosen by its type, so that a message names what is wrong. */
export const httpsField = v.lazy((given): typeof byName | typeof byPort =>
  typeof given === 'object' ? byPort : byName,
);
