import { createConnection, createServer } from 'node:net';
import { Fault } from '../model/fault.ts';

/** Whether something on 127.0.0.1 accepts a connection to the port. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** The port, or another one when it is in use. */
export async function preferPort(port: number): Promise<number> {
  return (await listens(port)) ?? freePort();
}

export async function freePort(): Promise<number> {
  const port = await listens(0);
  if (port === undefined) throw new Fault('address-in-use', 'no free port on 127.0.0.1');
  return port;
}

function listens(port: number): Promise<number | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });
}
