import * as v from 'valibot';
import { formatEvent } from './event-lines.ts';
import { logEvent } from './log-event-schema.ts';
import { formatOf, print } from './outputs.ts';

/** Log lines for a person. */
export function prettyStream(stream: NodeJS.WriteStream = process.stderr): { readonly write: (line: string) => void } {
  return {
    write(line) {
      const parsed = v.safeParse(logEvent, parseJson(line));
      if (!parsed.success) return print(line, stream);
      print(formatEvent(parsed.output, { ...formatOf(stream), withFields: true }), stream);
    },
  };
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
