import { type Https, standardPort, waitsForCertificate } from '../model/policy/https.ts';
import type { Redirect } from '../model/policy/redirect.ts';
import type { PathChange } from '../model/policy/rewrite.ts';
import { ConfigWord } from '../template/config-word.ts';

/** A change of a path by a regular expression. */
export type PathChangeView = {
  readonly pattern: ConfigWord;
  readonly replacement: ConfigWord;
  readonly isBounded: boolean;
};

/** The rules of a policy's `redirect`. */
export type RedirectView = {
  readonly code: number;
  readonly changes: readonly PathChangeView[];
  /** The host that clients should use. */
  readonly toHost: string | undefined;
  /** `toHost` with its port. */
  readonly authority: string | undefined;
  /** Whether clients get a URL of HTTPS: always, or once the host has a certificate. */
  readonly secureOnly: boolean;
  /** Whether clients may get a URL with the protocol of their request. */
  readonly eitherScheme: boolean;
  /** The port of HTTPS, where a URL needs it. */
  readonly securePort: number | undefined;
};

export const redirectNames = [
  ...['httpsRedirect', 'port', 'redirect', 'code', 'changes', 'pattern', 'replacement', 'toHost', 'authority'],
  ...['waitsForCertificate', 'eitherScheme', 'secureOnly', 'securePort', 'rewrites', 'rewriting', 'isBounded'],
] as const;

/** `port` is left out where a URL does without. */
export function httpsRedirectView(https: Https): { readonly port: number | undefined } | undefined {
  return https.redirect === undefined ? undefined : { port: portInUrl(https.redirect) };
}

const portInUrl = (port: number): number | undefined => (port === standardPort ? undefined : port);

export function redirectView({ status, host, port, path, trailingSlash }: Redirect, https: Https): RedirectView {
  const slash = trailingSlash && slashes[trailingSlash];
  return {
    code: status,
    changes: [path, slash].flatMap((change) => (change === undefined ? [] : [pathChangeView(change)])),
    toHost: host,
    authority: host === undefined || port === undefined ? host : `${host}:${port}`,
    secureOnly: https.redirect !== undefined,
    eitherScheme: https.redirect === undefined || waitsForCertificate(https),
    securePort: https.redirect && portInUrl(https.redirect),
  };
}

// A name with a dot in it is a file's, `/style.css`.
const slashes: Readonly<Record<'add' | 'remove', PathChange>> = {
  add: { regex: '^(.*/[^/.]+)$', to: '$1/', isBounded: false },
  remove: { regex: '^(.*[^/])/+$', to: '$1', isBounded: false },
};

export const pathChangeView = ({ regex, to, isBounded }: PathChange): PathChangeView => ({
  isBounded,
  pattern: ConfigWord.of(regex),
  replacement: ConfigWord.format(to.replace(/\$([1-9])/g, '\\$1')),
});
