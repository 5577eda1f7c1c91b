import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import { freePort } from './ports.ts';
import { until } from './until.ts';

const folder = process.env['ETCD_ROOT'];

/** etcd's own gRPC proxy before these members, answering when this resolves. */
export async function startGrpcProxy(endpoints: readonly string[]) {
  const endpoint = `127.0.0.1:${await freePort()}`;
  const args = ['grpc-proxy', 'start', '--endpoints', endpoints.join(','), '--listen-addr', endpoint];
  const child = spawn(folder === undefined ? 'etcd' : join(folder, 'etcd'), args, { stdio: 'ignore' });
  const registry = openEtcdRegistry({ endpoints: [endpoint], root: '/none/' });
  const answers = () =>
    registry.read('').then(
      () => true,
      () => false,
    );
  await until('the proxy answers', answers, { deadlineMs: 30_000, everyMs: 50 });
  await registry.close();
  return {
    endpoint,
    pid: child.pid,
    async close(): Promise<void> {
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGKILL');
      await gone;
    },
  };
}
