import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from 'pino';
import { printableLines } from '../model/printable.ts';
import type { LogSettings } from '../settings/log.ts';
import { journalReads, priorityOf } from './journal.ts';

type Level = LogSettings['level'];
type LineSink = Pick<DestinationStream, 'write'>;

/**
 * JSON does not escape all that steers a terminal, and somebody may look at the log on one. So what pino writes is escaped further,
 * which leaves it the same JSON.
 *
 * Logs to standard error, so that standard output stays the command's own. Written at once and in this thread: the last
 * line before an exit is the one that matters.
 */
export async function createLogger({ level, format }: LogSettings): Promise<Logger> {
  const out = await openOutput(format);
  const lines = {
    ...withLastLevel,
    write(text: string): void {
      out.write(printableLines(text), this.lastLevel);
    },
  };
  return pino({ ...lineFormat, level }, lines);
}

/** A log whose level can be changed while it is written, and whose newest lines are kept for whoever looks. */
export type TailedLog = {
  readonly logger: Logger;
  readonly level: () => Level;
  readonly setLevel: (level: Level) => void;
};

/** The tail has what matters to an operator, from info on, however little goes to standard error. */
export async function createTailedLog(settings: LogSettings, tail: LineSink): Promise<TailedLog> {
  const out = await openOutput(settings.format);
  let level = settings.level;
  const lines = {
    ...withLastLevel,
    write(text: string): void {
      const line = printableLines(text);
      if (this.lastLevel >= severity('info')) tail.write(line);
      if (this.lastLevel >= severity(level)) out.write(line, this.lastLevel);
    },
  };
  const least = (): Level => (severity(level) < severity('info') ? level : 'info');
  const logger = pino({ ...lineFormat, level: least() }, lines);
  return {
    logger,
    level: () => level,
    setLevel(next) {
      level = next;
      logger.level = least();
    },
  };
}

/** Has pino say in `lastLevel` of which level the line is that it writes next. */
const withLastLevel = { [Symbol.for('pino.metadata')]: true, lastLevel: 0 };

const lineFormat = {
  base: null,
  timestamp: stdTimeFunctions.isoTime,
  formatters: { level: (label: string) => ({ level: label }) },
};

/** Where lines go, each with its level. */
type LogOutput = { readonly write: (line: string, level: number) => void };

async function openOutput(format: LogSettings['format']): Promise<LogOutput> {
  const pretty = format === 'pretty' || (format === 'auto' && process.stderr.isTTY);
  const out: LineSink = pretty
    ? (await import('./pretty-log.ts')).prettyStream()
    : destination({ dest: 2, sync: true });
  // The journal takes the priority off a line, so that it is JSON there.
  const marked = !pretty && journalReads(process.env);
  return { write: (line, level) => void out.write(marked ? `${priorityOf(level)}${line}` : line) };
}

/** As pino counts; `silent` is above all. */
const severity = (level: Level): number => pino.levels.values[level] ?? Number.POSITIVE_INFINITY;
