import { readFile } from 'node:fs/promises';
import { errorCode } from '../model/error-code.ts';
import { describe } from '../model/fault.ts';

/** Why a file that is there cannot be used. */
export type Unusable = { readonly unusable: string };

/**
 * Reads what an earlier run saved as JSON. Undefined when there is no such file; a reason when it cannot be read, or
 * `parse` throws.
 */
export async function readSaved<T>(path: string, parse: (json: unknown) => T): Promise<T | Unusable | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    return { unusable: describe(error) };
  }
  try {
    return parse(JSON.parse(text));
  } catch (error) {
    return { unusable: describe(error) };
  }
}
