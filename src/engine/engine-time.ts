import type { EngineTime } from './engine-api.ts';

/** The `Date` header has whole seconds, rounded down. */
const secondMs = 1000;
/** How long an answer of this machine may be under way. */
const slackMs = 2000;

/**
 * A time by the engine's clock that is not before its answer, from the `Date` header of the answer and `now` by our own clock. An engine
 * behind a socket has our clock, unless the socket is forwarded from another machine. Over TCP the clocks may differ, so there it is the
 * end of the second in which the engine answered.
 */
export function engineTimeOf(date: string | undefined, now: number, isLocal: boolean): EngineTime {
  const second = Date.parse(date ?? '');
  // `now` is rounded down as well.
  if (Number.isNaN(second)) return now + 1;
  const isOurClock = isLocal && now >= second && now < second + secondMs + slackMs;
  return isOurClock ? now + 1 : second + secondMs;
}
