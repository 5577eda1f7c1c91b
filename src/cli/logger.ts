import {
  destination,
  type Level,
  type DestinationStream as Lines,
  type Logger,
  multistream,
  pino,
  type StreamEntry,
  stdTimeFunctions,
} from 'pino';
import type { LogSettings } from '../settings/log.ts';

/**
 * Logs to standard error, and from info on to the tail, so that standard output stays the command's own. Written at once and in this thread: the last
 * line before an exit is the one that matters.
 */
export async function createLogger({ level, format }: LogSettings, tail?: Pick<Lines, 'write'>): Promise<Logger> {
  const options = {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const pretty = format === 'pretty' || (format === 'auto' && process.stderr.isTTY);
  const out = pretty ? (await import('./pretty-log.ts')).prettyStream() : destination({ dest: 2, sync: true });
  if (tail === undefined) return pino(options, out);
  // The tail has what matters to an operator, however little goes to standard error.
  const streams: StreamEntry<Level>[] = [{ level: 'info', stream: tail }];
  if (level !== 'silent') streams.push({ level, stream: out });
  return pino({ ...options, level: isBelow(level, 'info') ? level : 'info' }, multistream(streams));
}

const isBelow = (level: LogSettings['level'], other: Level): boolean =>
  (pino.levels.values[level] ?? Number.POSITIVE_INFINITY) < (pino.levels.values[other] ?? 0);
