import type { Https } from '../model/policy/https.ts';
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
  /** Whether clients always get a URL of HTTPS. */
  readonly secureOnly: boolean;
  /** The port of HTTPS, where a URL needs it. */
  readonly securePort: number | undefined;
};

export const redirectNames = [
  ...['httpsRedirect', 'port', 'redirect', 'code', 'changes', 'pattern', 'replacement', 'toHost', 'authority'],
  ...['secureOnly', 'securePort', 'rewrites', 'rewriting', 'isBounded'],
] as const;

/** `port` is left out where a URL does without. */
export function httpsRedirectView(https: Https): { readonly port: number | undefined } | undefined {
  if (https.kind === 'optional') return undefined;
  return { port: https.port === 443 ? undefined : https.port };
}

export function redirectView({ status, host, port, path, trailingSlash }: Redirect, https: Https): RedirectView {
  const slash = trailingSlash && slashes[trailingSlash];
  return {
    code: status,
    changes: [path, slash].flatMap((change) => (change === undefined ? [] : [pathChangeView(change)])),
    toHost: host,
    authority: host === undefined || port === undefined ? host : `${host}:${port}`,
    secureOnly: https.kind === 'redirect',
    securePort: https.kind === 'redirect' && https.port !== 443 ? https.port : undefined,
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
