import type { CheckTarget } from './check-target.ts';
import { type CheckOutcome, fails, passes } from './outcome.ts';

/** Passes when a GET is answered with a status of 200 to 399. Redirects are not followed, and no body is read. */
export async function probeHttp(
  { host, port, path, tls }: Extract<CheckTarget, { kind: 'http' }>,
  signal: AbortSignal,
): Promise<CheckOutcome> {
  const options = { host, port, path, agent: false, signal, headers: { 'user-agent': 'pointsman-check' } };
  // Loaded when it is needed, because most that register check nothing over HTTP. It is within Node, so no upgrade of pointsman removes it.
  const { request: start } = tls === 'none' ? await import('node:http') : await import('node:https');
  return new Promise((resolve) => {
    const request = start(tls === 'none' ? options : { ...options, rejectUnauthorized: tls === 'verified' });
    request.once('response', ({ statusCode = 0 }) => {
      resolve(statusCode >= 200 && statusCode < 400 ? passes : fails(`status ${statusCode}`));
      request.destroy();
    });
    // It stays after the answer: destroying a connection may emit one more.
    request.on('error', (error) => resolve(fails(signal.aborted ? 'no answer in time' : error.message)));
    request.end();
  });
}
