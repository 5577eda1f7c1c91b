import { type Agent, request } from 'node:https';
import { describe } from '../../model/fault.ts';
import { AuthorityError } from './authority-error.ts';

export type Answer = {
  readonly status: number;
  readonly text: string;
  readonly header: (name: string) => string | undefined;
};

export type Exchange = {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: string;
  readonly body?: string;
};

/** Some authorities make the certificate while the request waits. */
const deadlineMs = 30_000;
const longestAnswer = 256 * 1024;

/** One request to an authority, which follows no redirect. Rejects with an AuthorityError when there is no answer. */
export function exchange({ method, url, body }: Exchange, agent: Agent, signal: AbortSignal): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      clearTimeout(timer);
      reject(new AuthorityError(`${hostOf(url)}: ${describe(error)}`, { kind: 'unavailable', cause: error }));
    };
    // Not a signal of its own, which would stay until the deadline and end a connection that is used again.
    const timer = setTimeout(() => asked.destroy(new Error(`no answer within ${deadlineMs / 1000} s`)), deadlineMs);
    if (!url.startsWith('https://')) {
      fail(new Error(`the authority gives an address that does not begin with https://: ${url.slice(0, 100)}`));
      return;
    }
    const headers = {
      'user-agent': 'pointsman',
      ...(body === undefined
        ? {}
        : { 'content-type': 'application/jose+json', 'content-length': Buffer.byteLength(body) }),
    };
    const asked = request(url, { method, agent, signal, headers }, (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('data', (part: Buffer) => {
        parts.push(part);
        size += part.length;
        if (size > longestAnswer) asked.destroy(new Error(`its answer is longer than ${longestAnswer / 1024} KiB`));
      });
      response.on('error', fail);
      response.on('end', () => {
        clearTimeout(timer);
        resolve({
          status: response.statusCode ?? 0,
          text: Buffer.concat(parts).toString(),
          header: (name) => {
            const value = response.headers[name];
            return Array.isArray(value) ? value[0] : value;
          },
        });
      });
    });
    asked.on('error', fail);
    asked.end(body);
  });
}

const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).host : url.slice(0, 100));
