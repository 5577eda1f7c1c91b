import type { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import type { BalanceQueries } from '../balance/queries/queries.ts';
import { parseInstanceId, parseServiceName } from '../model/name.ts';
import { answerJson } from './answer-json.ts';
import type { LogTail } from './log-tail.ts';

export type ViewsParts = { readonly queries: BalanceQueries; readonly tail: LogTail };

const keepAliveMs = 15_000;
const mostInstances = 100;
const isCount = (given: number | undefined): boolean => given === undefined || (Number.isInteger(given) && given >= 0);
/** Lines that one reader may be behind. */
const mostWaiting = 1000;

/**
 * Adds what people look at, as JSON: `/fleet`, `/services`, `/services/NAME` (`?from=N`, `?most=N`), `/certificates`, `/not-served`,
 * `/history`, `/history/SERVICE`, `/explain/SERVICE/INSTANCE`, `/events` (`?after=ID`, `?most=N`), and `/events/stream` as server-sent events.
 */
export function addViews(app: Hono, { queries, tail }: ViewsParts): void {
  app.get('/fleet', async (c) => answerJson(c, await queries.fleet()));
  app.get('/services', async (c) => answerJson(c, await queries.services()));
  app.get('/services/:service', async (c) => {
    const name = parseServiceName(c.req.param('service'));
    if (!name.ok) return c.text(`${name.reason}\n`, 400);
    const [from, most] = [c.req.query('from'), c.req.query('most')].map((text) =>
      text === undefined ? undefined : Number(text),
    );
    if (![from, most].every(isCount)) return c.text('from and most are whole numbers\n', 400);
    const window =
      from === undefined && most === undefined ? undefined : { from: from ?? 0, most: most ?? mostInstances };
    const service = await queries.service(name.value, window);
    return service === undefined ? c.text('there is no such service\n', 404) : answerJson(c, service);
  });
  app.get('/certificates', async (c) => answerJson(c, await queries.certificates()));
  app.get('/not-served', async (c) => answerJson(c, await queries.notServed()));
  app.get('/history', (c) => answerJson(c, queries.history()));
  app.get('/history/:service', (c) => {
    const name = parseServiceName(c.req.param('service'));
    if (!name.ok) return c.text(`${name.reason}\n`, 400);
    return answerJson(c, queries.history(name.value));
  });
  app.get('/explain/:service/:instance', async (c) => {
    const name = parseServiceName(c.req.param('service'));
    if (!name.ok) return c.text(`${name.reason}\n`, 400);
    const id = parseInstanceId(c.req.param('instance'));
    if (!id.ok) return c.text(`${id.reason}\n`, 400);
    return answerJson(c, await queries.explain(name.value, id.value));
  });
  app.get('/events', (c) => {
    const [after, most] = [Number(c.req.query('after') ?? 0), Number(c.req.query('most') ?? 100)];
    if (!Number.isInteger(after) || !Number.isInteger(most)) return c.text('after and most are whole numbers\n', 400);
    const lines = tail.after(after, most).map(({ id, line }) => `{"id":${id},${line.slice(1)}`);
    return c.body(`[${lines.join(',\n')}]\n`, 200, { 'Content-Type': 'application/json' });
  });
  app.get('/events/stream', (c) =>
    streamSSE(c, async (stream) => {
      const gone = new Promise<void>((resolve) => stream.onAbort(resolve));
      let waiting = 0;
      const stop = tail.listen(({ id, line }) => {
        waiting += 1;
        // A client that does not read its lines does not delay others; `after` gives it the missed ones.
        if (waiting > mostWaiting) stream.abort();
        else
          stream.writeSSE({ id: String(id), data: line }).then(
            () => (waiting -= 1),
            () => stream.abort(),
          );
      });
      if (stop === undefined) return;
      // A proxy between would close a silent connection.
      const timer = setInterval(() => stream.write(': \n\n').catch(() => stream.abort()), keepAliveMs);
      await gone;
      clearInterval(timer);
      stop();
    }),
  );
}
