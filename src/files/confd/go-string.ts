import type { Bytes } from '../../go-template/bytes.ts';
import { rawBytes, rawText } from '../../model/raw-text.ts';

const ascii = /^[\x00-\x7f]*$/;

/** A text of the registry or the environment as Go has it: its bytes, also those that are not UTF-8. */
export const goString = (text: string): Bytes => (ascii.test(text) ? text : rawBytes(text).toString('latin1'));

/** The text of a Go string; `goString` gives back its bytes. */
export const rawTextOf = (bytes: Bytes): string => (ascii.test(bytes) ? bytes : rawText(Buffer.from(bytes, 'latin1')));
