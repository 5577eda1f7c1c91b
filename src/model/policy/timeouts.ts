import * as v from 'valibot';
import { duration, durationText } from './field.ts';

/** How long HAProxy waits, in ms. The base configuration has the time of a field that is undefined. */
export type Timeouts = {
  /** For the server to take the connection. */
  readonly connectMs: number | undefined;
  /** For the server to say something. */
  readonly serverMs: number | undefined;
  /** For the client to say something. Before HAProxy 2.9 that of the base configuration counts for http. */
  readonly clientMs: number | undefined;
  /** For a server that is not busy. */
  readonly queueMs: number | undefined;
  /** For either side of a tunnel, such as a websocket, to say something. */
  readonly tunnelMs: number | undefined;
};

export const noTimeouts: Timeouts = {
  connectMs: undefined,
  serverMs: undefined,
  clientMs: undefined,
  queueMs: undefined,
  tunnelMs: undefined,
};

const week = 7 * 86_400_000;
const long = v.pipe(
  durationText,
  v.check((ms) => ms >= 1000 && ms <= week, 'it is not between 1s and 7d'),
);

export const timeoutsField = v.pipe(
  v.strictObject({
    connect: v.optional(duration),
    server: v.optional(long),
    client: v.optional(long),
    queue: v.optional(duration),
    tunnel: v.optional(long),
  }),
  v.transform(
    ({ connect, server, client, queue, tunnel }): Timeouts => ({
      connectMs: connect,
      serverMs: server,
      clientMs: client,
      queueMs: queue,
      tunnelMs: tunnel,
    }),
  ),
);
