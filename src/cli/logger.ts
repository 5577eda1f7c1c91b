import { destination, type Logger, pino, stdTimeFunctions } from 'pino';
import type { LogSettings } from '../settings/log.ts';

/**
 * Logs to standard error, so that standard output stays the command's own. Written at once and in this thread: the last
 * line before an exit is the one that matters.
 */
export async function createLogger({ level, format }: LogSettings): Promise<Logger> {
  const options = {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const pretty = format === 'pretty' || (format === 'auto' && process.stderr.isTTY);
  if (!pretty) return pino(options, destination({ dest: 2, sync: true }));
  const { prettyStream } = await import('./pretty-log.ts');
  return pino(options, prettyStream());
}
