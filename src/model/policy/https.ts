import * as v from 'valibot';
import { describeIssue, whole } from './field.ts';

/** How the clients of a service get TLS. */
export type Https = {
  /** The port of HTTPS that requests without TLS are redirected to. Undefined: HAProxy serves them. */
  readonly redirect: number | undefined;
  /** `auto`: pointsman orders the certificates of the hosts, and the redirect waits for them. */
  readonly certificate: 'auto' | undefined;
};

export const optionalHttps: Https = { redirect: undefined, certificate: undefined };

/** The port of HTTPS that a URL does without. */
export const standardPort = 443;

const byName = v.pipe(
  // Who writes "auto" wants a certificate.
  v.picklist(
    ['optional', 'redirect'],
    (issue) => `${describeIssue(issue)}; to ask for certificates, write {"certificate": "auto", "redirect": true}`,
  ),
  v.transform((kind): Https => ({ ...optionalHttps, redirect: kind === 'redirect' ? standardPort : undefined })),
);

const port = whole(1, 65535);
const onOrOff = v.boolean();

const byField = v.pipe(
  v.strictObject({
    certificate: v.optional(v.picklist(['auto'])),
    redirect: v.optional(
      v.lazy((given): typeof port | typeof onOrOff => (typeof given === 'boolean' ? onOrOff : port)),
    ),
  }),
  v.check(({ certificate, redirect }) => certificate !== undefined || redirect !== undefined, 'it has no field'),
  v.transform(
    ({ certificate, redirect = false }): Https => ({
      certificate,
      redirect: redirect === true ? standardPort : redirect === false ? undefined : redirect,
    }),
  ),
);

/** `"redirect"`, `{"redirect": 8443}` or `{"certificate": "auto", "redirect": true}`. Chosen by its type, so that a message names what is wrong. */
export const httpsField = v.lazy((given): typeof byName | typeof byField =>
  typeof given === 'object' ? byField : byName,
);

/** Whether requests without TLS are redirected only for hosts that have a certificate. */
export const waitsForCertificate = ({ certificate, redirect }: Https): boolean =>
  certificate === 'auto' && redirect !== undefined;
