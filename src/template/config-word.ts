// Each of these separates, quotes, escapes or comments in a haproxy.cfg.
const special = /[ \t\\"'#]/g;

/**
 * Text that is written as one word of a haproxy.cfg, whatever it contains: the one kind of value that goes into a
 * template without being checked. It must be one line of printable ASCII, and not
 * empty: HAProxy takes an empty word for a missing one.
 */
export class ConfigWord {
  readonly text: string;

  private constructor(text: string) {
    this.text = text.replace(special, (char) => (char === '\t' ? '\\t' : `\\${char}`));
  }

  /** The text itself. */
  static of(text: string): ConfigWord {
    return new ConfigWord(text);
  }

  /** The text itself where HAProxy takes a format and would expand `%[…]`. */
  static format(text: string): ConfigWord {
    return new ConfigWord(text.replaceAll('%', '%%'));
  }

  toJSON(): string {
    return this.text;
  }
}
