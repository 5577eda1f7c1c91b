import { type Agent, request } from 'node:http';

export type Answer = { readonly status: number; readonly body: string };

/** One request with a Host header of its own. Rejects when there is no answer in time. */
export function ask(
  port: number,
  host: string,
  path = '/',
  agent: Agent | false = false,
  deadlineMs = 10_000,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port, path, headers: { host }, agent, timeout: deadlineMs }, (res) => {
      let body = '';
      res.setEncoding('utf8');
      res.on('data', (chunk: string) => {
        body += chunk;
      });
      res.on('end', () => resolve({ status: res.statusCode ?? 0, body }));
      res.on('error', reject);
    });
    req.on('timeout', () => req.destroy(new Error(`no answer within ${deadlineMs / 1000} s`)));
    req.on('error', reject);
    req.end();
  });
}
