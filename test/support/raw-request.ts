import { connect } from 'node:net';

/** Sends these bytes on a connection of its own and gives what comes back, until it ends or fits `last`, for at most 10 s. */
export function sendRaw(port: number, bytes: string, last?: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    const text = () => Buffer.concat(parts).toString();
    const socket = connect({ host: '127.0.0.1', port }, () => socket.write(bytes));
    socket.setTimeout(10_000, () => {
      socket.destroy(new Error(`the connection stayed open for 10 s after ${JSON.stringify(text())}`));
    });
    socket.on('data', (part: Buffer) => {
      parts.push(part);
      if (last?.test(text())) socket.end();
    });
    socket.on('close', () => resolve(text()));
    socket.on('error', reject);
  });
}

/** One HTTP/1.1 request with exactly this target and these header lines; the connection closes after it. */
export async function askRaw(port: number, target: string, headers: readonly string[]) {
  const lines = [`GET ${target} HTTP/1.1`, ...headers, 'Connection: close', '', ''];
  const answer = await sendRaw(port, lines.join('\r\n'));
  return {
    status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(answer)?.[1]),
    body: answer.slice(answer.indexOf('\r\n\r\n') + 4),
  };
}
