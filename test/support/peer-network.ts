import { createConnection, createServer, type Server, type Socket } from 'node:net';

type Link = { readonly from: string; readonly to: string; readonly sockets: readonly [Socket, Socket] };

/**
 * The network between the members of an etcd cluster, from which single ones can be cut off: a proxy before each member's
 * peer port. Who connects is told by the `X-Server-From` header that etcd sends with the first
 * request of each connection; its value is the member's id in hexadecimal.
 */
export async function startPeerNetwork(targets: readonly number[]) {
  const links = new Set<Link>();
  const isolated = new Set<string>();
  /** The target's id, once it is known. */
  const ids = new Map<number, string>();
  const parted = ({ from, to }: { from: string; to: string }) => isolated.has(from) !== isolated.has(to);

  const accept = (target: number, client: Socket): void => {
    client.on('error', () => client.destroy());
    client.once('data', (first: Buffer) => {
      const from = /^X-Server-From: ([0-9a-f]+)/im.exec(first.toString('latin1'))?.[1] ?? '';
      const upstream = createConnection(target, '127.0.0.1');
      const link: Link = { from, to: ids.get(target) ?? '', sockets: [client, upstream] };
      const close = () => {
        links.delete(link);
        for (const socket of link.sockets) socket.destroy();
      };
      for (const socket of link.sockets) socket.on('error', close).on('close', close);
      if (parted(link)) return close();
      links.add(link);
      upstream.write(first);
      client.pipe(upstream);
      upstream.pipe(client);
    });
  };
  const listen = (target: number): Promise<Server> => {
    const server = createServer((client) => accept(target, client));
    return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
  };
  const servers = await Promise.all(targets.map(listen));
  const ports = servers.map((server) => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a listening TCP server has a port');
    return address.port;
  });
  const cut = (which: (link: Link) => boolean) => {
    for (const link of [...links].filter(which)) for (const socket of link.sockets) socket.destroy();
  };
  return {
    /** Where the other members reach each target. */
    ports,
    /** Says which member listens on which target. Connections from before are made anew, to know who they are of. */
    know(members: ReadonlyMap<number, string>): void {
      for (const [target, id] of members) ids.set(target, id);
      cut(() => true);
    },
    /** The members with these ids still hear each other and nobody else; with none, all hear each other again. */
    isolate(...members: readonly string[]): void {
      isolated.clear();
      for (const id of members) isolated.add(id);
      cut(parted);
    },
    async close(): Promise<void> {
      cut(() => true);
      await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
    },
  };
}
