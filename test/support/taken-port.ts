import { createServer } from 'node:net';
import { onTestFinished } from 'vitest';
import { freePort } from './ports.ts';

/** A port that this process listens on, until `free` is called or the test is finished. */
export async function takenPort() {
  const port = await freePort();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const free = () => new Promise<void>((resolve) => void server.close(() => resolve()));
  onTestFinished(() => void server.close());
  return { port, free };
}

/** A policy for TCP on this port. */
export const tcp = (port: number): string => JSON.stringify({ mode: 'tcp', port });
