import type { Context } from 'hono';

/** Refuses what a page of another origin could have sent. It takes JSON only: a browser asks before it sends that to another origin. */
export function refusedFrom(c: Context): Response | undefined {
  const origin = c.req.header('origin');
  if (origin !== undefined && hostIn(origin) !== c.req.header('host')?.toLowerCase())
    return c.text('this origin may ask for nothing\n', 403);
  if (!/^application\/json *(;|$)/i.test(c.req.header('content-type') ?? '')) {
    return c.text('it takes JSON: Content-Type: application/json\n', 415);
  }
  return undefined;
}

const hostIn = (origin: string): string | undefined => (URL.canParse(origin) ? new URL(origin).host : undefined);
