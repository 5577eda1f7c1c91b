import { request } from 'node:https';
import { timeLimit } from '../../waiting/time-limit.ts';

export type Fetched = {
  readonly text: string;
  /** How long the server says that the answer is fresh, in ms. */
  readonly freshMs: number | undefined;
};

const deadlineMs = 10_000;
const longestAnswer = 256 * 1024;

/**
 * Fetches a JWKS over TLS. Rejects with an Error that says what happened. It follows no redirect: the operator named this
 * server. `ca` has the authorities to trust instead of the system's.
 */
export function fetchJwks(url: string, ca: string | undefined, signal: AbortSignal): Promise<Fetched> {
  return new Promise((resolve, reject) => {
    const limit = timeLimit(deadlineMs, signal);
    const how = {
      ca,
      agent: false,
      signal: limit,
      headers: { accept: 'application/json' },
    };
    const fail = (error: Error) =>
      reject(
        limit.aborted && !signal.aborted
          ? new Error(`no answer within ${deadlineMs / 1000} s`, { cause: error })
          : error,
      );
    const asked = request(url, how, (response) => {
      if (response.statusCode !== 200) {
        asked.destroy(new Error(`the server answered ${response.statusCode} instead of 200`));
        return;
      }
      const parts: Buffer[] = [];
      let length = 0;
      response.on('data', (part: Buffer) => {
        parts.push(part);
        length += part.length;
        if (length > longestAnswer) asked.destroy(new Error(`the answer is longer than ${longestAnswer / 1024} KiB`));
      });
      response.on('error', fail);
      response.on('end', () => {
        resolve({ text: Buffer.concat(parts).toString(), freshMs: freshness(response.headers['cache-control']) });
      });
    });
    asked.on('error', fail);
    asked.end();
  });
}

function freshness(cacheControl: string | undefined): number | undefined {
  const seconds = /(?:^|[,\s])max-age=(\d{1,9})/i.exec(cacheControl ?? '')?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
