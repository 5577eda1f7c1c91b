import pinoPretty from 'pino-pretty';

/** Log lines for a person: in this process, where pino's own transport would start a worker thread. */
export function prettyStream(): NodeJS.WritableStream {
  return pinoPretty({
    destination: 2,
    sync: true,
    colorize: process.stderr.isTTY && !process.env['NO_COLOR'],
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'event',
    singleLine: true,
  });
}
