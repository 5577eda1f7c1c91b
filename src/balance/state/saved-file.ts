import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { describe, errorCode } from '../../model/fault.ts';
export type Unusable = { readonly unusable: string };

/** Reads JSON that an earlier run saved. Returns undefined when there is no file, and a reason when it cannot be read or parsed. */
export async function readSaved<T>(
  path: string,
  parse: (json: unknown) => T,
  read: (path: string) => Promise<unknown> = readJson,
): Promise<T | Unusable | undefined> {
  try {
    return parse(await read(path));
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? undefined : { unusable: describe(error) };
  }
}

const readJson = async (path: string): Promise<unknown> => JSON.parse(await readFile(path, 'utf8'));

/** The lines of a file. The file may be longer than a string can be (512 MB). */
export async function* linesOf(path: string, chunkBytes = 65_536): AsyncGenerator<string> {
  let begun: Buffer[] = [];
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes }) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', start)) {
      yield Buffer.concat([...begun, chunk.subarray(start, end)]).toString();
      begun = [];
      start = end + 1;
    }
    begun.push(chunk.subarray(start));
  }
  yield Buffer.concat(begun).toString();
}
