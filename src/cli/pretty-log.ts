import { Writable } from 'node:stream';
import pinoPretty from 'pino-pretty';
import { print } from './outputs.ts';

/** Log lines for a person: in this process, where pino's own transport would start a worker thread. */
export function prettyStream(): NodeJS.WritableStream {
  return pinoPretty({
    destination: new Writable({
      decodeStrings: false,
      write(text, _, done) {
        print(String(text), process.stderr);
        done();
      },
    }),
    colorize: process.stderr.isTTY && !process.env['NO_COLOR'],
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'event',
    singleLine: true,
  });
}
