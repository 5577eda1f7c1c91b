import { type FileHandle, open } from 'node:fs/promises';

const pieceBytes = 256 * 1024;

/**
 * The bytes of a file, a pipe or a device; undefined if there are more than `most`. A device has no size before it is read, and
 * /dev/zero has no end. Rejects with the error of the file system.
 */
export async function readBounded(path: string, most: number): Promise<Buffer | undefined> {
  const file = await open(path, 'r');
  try {
    return await readPieces(file, most);
  } finally {
    await file.close();
  }
}

async function readPieces(file: FileHandle, most: number): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(pieceBytes), 0, pieceBytes, null);
    if (bytesRead === 0) return Buffer.concat(pieces);
    bytes += bytesRead;
    if (bytes > most) return undefined;
    pieces.push(buffer.subarray(0, bytesRead));
  }
}
