import type { HeaderName } from '../model/header.ts';
import type { ForwardAuth } from '../model/policy/auth-forward.ts';
import { ConfigWord } from '../template/config-word.ts';

/** The arguments of the script `forward-auth.lua`, each one word. */
export type ForwardAuthView = {
  readonly authService: string;
  readonly authPath: ConfigWord;
  readonly timeoutMs: number;
  readonly onError: string;
  /** Text, because Mustache takes the number 0 for nothing. `0` is no cache. */
  readonly cacheMs: string;
  readonly cacheBy: string;
  /** Joined by commas; `-` is none. */
  readonly sendHeaders: string;
  readonly copyHeaders: string;
  /** A regular expression for the names in `copyHeaders`, however a client writes them; undefined if there are none. */
  readonly clientNames: ConfigWord | undefined;
};

export const forwardAuthNames = [
  ...(['forwardAuth', 'authService', 'authPath', 'timeoutMs', 'onError'] as const),
  ...(['cacheMs', 'cacheBy', 'sendHeaders', 'copyHeaders', 'clientNames'] as const),
] as const;

export function forwardAuthView(forward: ForwardAuth): ForwardAuthView {
  const { service, path, sendHeaders, copyHeaders, timeoutMs, onError, cache } = forward;
  return {
    authService: service,
    authPath: ConfigWord.of(path),
    timeoutMs,
    onError,
    cacheMs: String(cache?.forMs ?? 0),
    cacheBy: cache?.by ?? 'question',
    sendHeaders: listed(sendHeaders),
    copyHeaders: listed(copyHeaders),
    clientNames: copyHeaders.length === 0 ? undefined : ConfigWord.of(spellingsOf(copyHeaders)),
  };
}

const listed = (names: readonly string[]): string => (names.length === 0 ? '-' : names.join());

function spellingsOf(names: readonly HeaderName[]): string {
  return `^(${names.map((name) => name.toLowerCase().replace(/[^a-z0-9]/g, '[^a-z0-9]')).join('|')})$`;
}
