import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { methods } from './etcd-protocol.ts';
import { GrpcChannel } from './grpc-channel.ts';
import { encode } from './protobuf.ts';

test('thousands of messages that are there at once leave the rest of the process its turns', async () => {
  const messages = 4000;
  const value = Buffer.alloc(500);
  const body = encode(methods.watch.response, { watch_id: '1', events: [{ type: 'Put', kv: { key: value, value } }] });
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(body.length, 1);
  const frames = Buffer.concat(Array.from({ length: messages }, () => [prefix, body]).flat());
  const server = createServer().on('stream', (stream) => {
    stream.on('error', () => undefined).respond({ ':status': 200, 'content-type': 'application/grpc' });
    stream.write(frames);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const channel = new GrpcChannel(`127.0.0.1:${(server.address() as AddressInfo).port}`, undefined, undefined);
  onTestFinished(() => {
    channel.close();
    server.close();
  });
  let [taken, inTurn, mostInTurn] = [0, 0, 0];
  await new Promise<void>((resolve, reject) => {
    const tick = () => {
      mostInTurn = Math.max(mostInTurn, inTurn);
      inTurn = 0;
      if (taken < messages) setImmediate(tick);
      else resolve();
    };
    channel.duplex(
      methods.watch,
      {},
      {
        onBytes: () => undefined,
        onEnd: (error) => reject(error ?? new Error('it ended')),
        onMessage: () => {
          const until = performance.now() + 0.2;
          while (performance.now() < until);
          taken += 1;
          inTurn += 1;
        },
      },
    );
    tick();
  });
  // 10 ms are 50 messages, and what arrived as one piece is taken as one.
  expect(mostInTurn).toBeLessThan(200);
});
