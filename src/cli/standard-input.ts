import { Fault } from '../model/fault.ts';

/** As much as a file of declarations may have. */
const mostBytes = 32 * 1024 * 1024;

/** All that standard input has. Rejects with Fault `usage` if that is too much. */
export async function readStandardInput(): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of process.stdin) {
    bytes += piece.length;
    if (bytes > mostBytes) throw new Fault('usage', `it has more than ${mostBytes} bytes`, { where: 'stdin' });
    pieces.push(Buffer.from(piece));
  }
  return Buffer.concat(pieces);
}
