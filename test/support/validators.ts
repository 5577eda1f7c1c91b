import { createServer } from 'node:http';
import { exchange } from './ask.ts';

/** A question of the authority, and what the balancers answered. */
export type Validation = { readonly host: string; readonly path: string; readonly answers: readonly string[] };

/**
 * The authority's eyes, at the port where it asks for challenges: each question goes to every balancer, and only an answer that all
 * of them give comes back. A balancer that does not have a challenge yet fails the order, which an authority that asks one
 * of them at random shows in some runs only.
 */
export async function startValidators(port: number) {
  const seen: Validation[] = [];
  let asked: readonly number[] = [];
  let wrong: string | undefined;
  const server = createServer((req, res) => {
    const [host = '', path = '/'] = [req.headers.host?.replace(/:\d+$/, ''), req.url];
    void Promise.all(
      asked.map((one) =>
        exchange(one, { host, path, deadlineMs: 5000 }).then(
          ({ status, body }) => (status === 200 ? body : `status ${status}`),
          (error: unknown) => String(error),
        ),
      ),
    ).then((answers) => {
      seen.push({ host, path, answers });
      const [first, ...others] = answers;
      const same = first !== undefined && others.every((one) => one === first);
      res.statusCode = same ? 200 : 500;
      res.end(wrong ?? (same ? first : 'the balancers do not agree'));
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    /** Asks the balancers at these ports from now on. */
    ask(...ports: readonly number[]): void {
      asked = ports;
    },
    /** Lets the authority see another answer than theirs. */
    lie(text: string | undefined): void {
      wrong = text;
    },
    /** All questions until now. */
    seen: (): readonly Validation[] => seen,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
