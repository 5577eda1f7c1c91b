// A terminal as far as the picture of one needs it: text, colours, line ends, and lines that are drawn over again.

/**
 * @typedef {{ char: string, style: string }} Cell
 * @typedef {{ text: string, style: string, column: number }} Run
 */

/** @type {Readonly<Record<number, string>>} */
const styles = { 1: 'b', 2: 'd', 31: 'r', 32: 'g', 33: 'y', 36: 'c' };
/** @type {Readonly<Record<number, readonly string[]>>} */
const ends = { 22: ['b', 'd'], 39: ['r', 'g', 'y', 'c'] };

export class TerminalScreen {
  #columns;
  #rows;
  /** @type {Cell[][]} */
  #lines = [[]];
  #row = 0;
  #column = 0;
  #style = new Set();

  /**
   * @param {number} columns
   * @param {number} rows
   */
  constructor(columns, rows) {
    this.#columns = columns;
    this.#rows = rows;
  }

  /** @param {string} text */
  write(text) {
    for (const [token] of text.matchAll(/\u001b\[[0-9;?]*[a-zA-Z]|\u001b[^[]|[\s\S]/gu)) {
      if (token.startsWith('\u001b')) this.#control(token);
      else if (token === '\n') this.#newLine();
      else if (token === '\r') this.#column = 0;
      else if (token === '\b') this.#column = Math.max(0, this.#column - 1);
      else if (token >= ' ') this.#put(token);
    }
  }

  /**
   * The rows of the screen, each as runs of one style, without the spaces at its end.
   * @returns {readonly (readonly Run[])[]}
   */
  get rows() {
    return this.#lines.slice(-this.#rows).map((line) => {
      /** @type {Run[]} */
      const runs = [];
      line.forEach(({ char, style }, column) => {
        const last = runs.at(-1);
        if (last !== undefined && last.style === style && last.column + [...last.text].length === column)
          last.text += char;
        else runs.push({ text: char, style, column });
      });
      const last = runs.at(-1);
      if (last !== undefined) last.text = last.text.trimEnd();
      return runs.filter(({ text }) => text.trim() !== '');
    });
  }

  /** @param {string} char */
  #put(char) {
    if (this.#column >= this.#columns) {
      this.#newLine();
      this.#column = 0;
    }
    const line = this.#current();
    while (line.length < this.#column) line.push({ char: ' ', style: '' });
    line[this.#column] = { char, style: [...this.#style].sort().join('') };
    this.#column += 1;
  }

  #newLine() {
    this.#row += 1;
    if (this.#row === this.#lines.length) this.#lines.push([]);
  }

  #current() {
    const line = this.#lines[this.#row];
    if (line === undefined) throw new Error(`there is no row ${this.#row}`);
    return line;
  }

  /** @param {string} sequence */
  #control(sequence) {
    const [, digits = '', letter] = /^\u001b\[([0-9;?]*)([a-zA-Z])$/.exec(sequence) ?? [];
    if (letter === 'K') {
      const from = digits === '2' ? 0 : this.#column;
      this.#current().length = Math.min(this.#current().length, from);
      return;
    }
    if (letter !== 'm') return;
    for (const code of digits.split(';').map(Number)) {
      const style = styles[code];
      if (code === 0) this.#style.clear();
      if (style !== undefined) this.#style.add(style);
      for (const ended of ends[code] ?? []) this.#style.delete(ended);
    }
  }
}
