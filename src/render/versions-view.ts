import type { Policy } from '../model/policy.ts';

/** The rules of a backend for requests that ask for a version: those of a canary, and those with the cookie of a version. */
export type VersionsView = {
  readonly canary:
    | {
        readonly canaryHeader: string | undefined;
        readonly canaryCookie: string | undefined;
        readonly canaryValue: string;
      }
    | undefined;
  readonly stickyCookie:
    | { readonly cookieName: string; readonly secure: boolean; readonly sameSite: string | undefined }
    | undefined;
  /** The map that says which instances have a version. */
  readonly routesMap: string;
  /** One for each instance of the version that HAProxy tries after the first one. */
  readonly more: readonly number[];
};

export const versionNames = [
  ...(['versions', 'canary', 'canaryHeader', 'canaryCookie', 'canaryValue', 'stickyCookie', 'routesMap'] as const),
  'more',
] as const;

// Each one is a rule that HAProxy tries only while the ones before are down.
const mostTried = 16;

export function versionsView({ canary, sticky }: Policy, routesMap: string): VersionsView | undefined {
  const stays = sticky?.to === 'version' ? sticky : undefined;
  if (canary === undefined && stays === undefined) return undefined;
  return {
    canary: canary && {
      canaryHeader: canary.by.kind === 'header' ? canary.by.name : undefined,
      canaryCookie: canary.by.kind === 'cookie' ? canary.by.name : undefined,
      canaryValue: canary.by.value,
    },
    stickyCookie: stays && { cookieName: stays.cookie, secure: stays.secure, sameSite: stays.sameSite },
    routesMap,
    more: Array.from({ length: mostTried - 1 }, (_, i) => i),
  };
}
