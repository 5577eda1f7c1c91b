import { createContext } from 'preact';
import type { Subject } from './choices.ts';
import { parseShown } from './shown-json.ts';

/** Who acts. The token stays in this page's memory: it is in no cookie and no storage, and a reload of the page forgets it. */
export type Operator = { readonly token: string; readonly who: string };

/** Opens the actions for a service or an instance; undefined while nobody may act. */
export const Acting = createContext<((subject: Subject) => void) | undefined>(undefined);

const patienceMs = 10_000;

/** The answer to an action, or why it was refused. */
export type Answered<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly status: number; readonly reason: string };

/** Asks the balancer to do something, with the token. Never rejects. */
export async function post<T>(path: string, { token, who }: Operator, action: object): Promise<Answered<T>> {
  try {
    const answer = await fetch(path, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(who === '' ? action : { ...action, who }),
      credentials: 'omit',
      signal: AbortSignal.timeout(patienceMs),
    });
    const text = await answer.text();
    if (answer.ok) return { ok: true, value: parseShown(text) };
    return { ok: false, status: answer.status, reason: text.trim() };
  } catch (error) {
    return { ok: false, status: 0, reason: error instanceof Error ? error.message : String(error) };
  }
}
