import { StringDecoder } from 'node:string_decoder';

/** An event with all labels of a container that has hundreds of them stays far below. */
const longestLine = 1024 * 1024;

/**
 * Cuts a stream of bytes into lines, wherever the chunks end. Skips a line that is too long: a single container could end the events of
 * all others with it.
 */
export class EventLines {
  readonly #onLine: (line: string) => void;
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';
  /** The beginning of the present line was too long, and is skipped already. */
  #skipping = false;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  add(part: Buffer): void {
    const lines = (this.#rest + this.#decoder.write(part)).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!this.#skipping && line.length <= longestLine && line.trim() !== '') this.#onLine(line);
      this.#skipping = false;
    }
    if (this.#rest.length <= longestLine) return;
    this.#rest = '';
    this.#skipping = true;
  }
}
