import { connect, createServer, type Socket } from 'node:net';

/** A real TCP application that gives back what it gets. `hear` gets each connection first. */
export async function startTcpEcho(hear: (socket: Socket) => void = () => undefined) {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => undefined);
    hear(socket);
    socket.pipe(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a listening TCP server has a port');
  return {
    address: `127.0.0.1:${address.port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

/** A client's side of a TCP connection. */
export function openTcp(port: number, { from = '127.0.0.1' } = {}) {
  const socket = connect({ host: '127.0.0.1', port, localAddress: from });
  let received = '';
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    received += text;
  });
  socket.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return {
    send: (text: string) => void socket.write(text),
    received: () => received,
    /** Resolves when the connection is gone, whoever ended it. */
    closed,
    close: () => {
      socket.destroy();
      return closed;
    },
  };
}
