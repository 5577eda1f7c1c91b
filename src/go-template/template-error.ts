import { type Bytes, textOf } from './bytes.ts';
import { placeOf } from './tree.ts';

/** A template that Go would not accept, or whose execution failed. */
export class TemplateError extends Error {
  readonly file: string;
  readonly line: number;
  /** In bytes, from 1. */
  readonly column: number;
  constructor(file: string, source: Bytes, at: number, message: string) {
    super(textOf(message));
    const { line, column } = placeOf(source, at);
    this.file = file;
    this.line = line;
    this.column = column + 1;
  }
  /** `file:line:column`. */
  get where(): string {
    return `${this.file}:${this.line}:${this.column}`;
  }
}
