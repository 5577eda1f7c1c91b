import { StringDecoder } from 'node:string_decoder';

/** An event with all labels of a container that has hundreds of them stays far below. */
const longestLine = 1024 * 1024;

/** Cuts a stream of bytes into lines, wherever the chunks end. */
export class EventLines {
  readonly #onLine: (line: string) => void;
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  /** Returns why the stream cannot be read any further. */
  add(part: Buffer): string | undefined {
    const lines = (this.#rest + this.#decoder.write(part)).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') this.#onLine(line);
    return this.#rest.length > longestLine ? `an event is longer than ${longestLine} bytes` : undefined;
  }
}
