import { unexpectedAnswer } from './answers.ts';

/** The command that lists the keys of a stick table with more requests than this. */
export const showBusyKeys = (table: string, counter: RateCounter, moreThan: number): string =>
  `show table ${table} data.${counter} gt ${moreThan}`;

/** The command that shows one key of a stick table. The key must be safe text. */
export const showKey = (table: string, key: string): string => `show table ${table} key ${key}`;

/** What counts as a request: a connection of a `tcp` service. */
export type RateCounter = 'http_req_rate' | 'conn_rate';

/** Reads the answer to `show table` of a rate limit, by key. Throws a Fault `haproxy-runtime` for another answer. */
export function parseRateTable(
  answer: string,
): ReadonlyMap<string, { readonly asked: number; readonly passed: number }> {
  const counts = new Map<string, { asked: number; passed: number }>();
  if (answer.trim() === '') return counts;
  if (!answer.trimStart().startsWith('# table:')) throw unexpectedAnswer('show table', answer);
  for (const line of answer.split('\n')) {
    const key = /\bkey=(\S+) /.exec(line)?.[1];
    const asked = /\b(?:http_req_rate|conn_rate)\(\d+\)=(\d+)/.exec(line)?.[1];
    const passed = /\bgpc0_rate\(\d+\)=(\d+)/.exec(line)?.[1];
    if (key !== undefined && asked !== undefined && passed !== undefined) {
      counts.set(key, { asked: Number(asked), passed: Number(passed) });
    }
  }
  return counts;
}
