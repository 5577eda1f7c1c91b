import type { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import * as v from 'valibot';

const logLevel = v.picklist(['trace', 'debug', 'info', 'warn', 'error', 'silent']);

type LogLevel = v.InferOutput<typeof logLevel>;

/** Reads and changes the log level while the balancer runs. */
export type LogLevelControl = { readonly level: () => LogLevel; readonly setLevel: (level: LogLevel) => void };

/** Adds `GET /log-level` and `PUT /log-level` (the level as its body). */
export function addLogLevel(app: Hono, { level, setLevel }: LogLevelControl): void {
  app.get('/log-level', (c) => c.text(`${level()}\n`));
  app.put('/log-level', bodyLimit({ maxSize: 64, onError: (c) => c.text('it is too long\n', 413) }), async (c) => {
    const wanted = v.safeParse(logLevel, (await c.req.text()).trim());
    if (!wanted.success) return c.text(`it is none of ${logLevel.options.join(', ')}\n`, 400);
    setLevel(wanted.output);
    return c.text(`${level()}\n`);
  });
}
