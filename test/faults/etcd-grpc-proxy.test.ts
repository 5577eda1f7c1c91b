import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { Recorder } from '../registry/recorder.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { startGrpcProxy } from '../support/grpc-proxy.ts';
import { until } from '../support/until.ts';

const patience = { deadlineMs: 30_000 };

describe("behind etcd's own gRPC proxy", () => {
  let etcd: EtcdCluster;
  let proxy: Awaited<ReturnType<typeof startGrpcProxy>>;
  let writer: Registry;
  let registries: readonly Registry[];
  let recorders: readonly Recorder[];

  beforeEach(async () => {
    etcd = await startEtcd();
    proxy = await startGrpcProxy(etcd.endpoints);
    writer = openEtcdRegistry({ endpoints: etcd.endpoints, root: '/pointsman/' });
    registries = Array.from({ length: 3 }, () =>
      openEtcdRegistry({ endpoints: [proxy.endpoint], root: '/pointsman/' }),
    );
    recorders = registries.map((registry) => new Recorder(registry));
    for (const recorder of recorders) {
      await recorder.started();
      await until('it watches', () => said(recorder, 'connected') > 0, patience);
    }
  });
  afterEach(async () => {
    await Promise.all(recorders.map((recorder) => recorder.close()));
    await Promise.all(registries.map((registry) => registry.close()));
    await writer.close();
    await proxy.close();
    await etcd.close();
  });

  const said = (recorder: Recorder, kind: string) => recorder.events.filter((event) => event.kind === kind).length;
  /** The sum of one of etcd's own metrics. */
  const count = async (name: string): Promise<number> => {
    const text = await (await fetch(`http://${etcd.endpoints[0]}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.startsWith(name));
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  };
  const allSee = async (key: string, value: string) => {
    for (const recorder of recorders) {
      await recorder.sees(key, value);
      expect(recorder.violations).toEqual([]);
      expect(said(recorder, 'snapshot')).toBe(1);
    }
  };

  test('followers see every change, and a long silence is no reason to leave', async () => {
    await writer.write('instances/web/a', '10.0.0.1:80');
    await allSee('instances/web/a', '10.0.0.1:80');
    // Each asks after each silence, and the proxy passes it on as a watch that comes and goes. Six silences would be six
    // failures; one is left to a machine that stops for a second.
    const watches = 'grpc_server_msg_received_total{grpc_method="Watch"';
    const before = await count(watches);
    await until('all have asked several times', async () => (await count(watches)) > before + 12, patience);
    expect(recorders.reduce((sum, recorder) => sum + said(recorder, 'disconnected'), 0)).toBeLessThan(2);
    await writer.remove('instances/web/a');
    for (const recorder of recorders) await recorder.sees('instances/web/a', undefined);
  });

  test('followers go on with what was written before and after etcd starts again', async () => {
    const [member] = etcd.members;
    await writer.write('instances/web/a', 'before');
    await allSee('instances/web/a', 'before');
    await member?.stop();
    member?.start();
    await etcd.healthy();
    await writer.write('instances/web/a', 'after');
    await allSee('instances/web/a', 'after');
  });

  test('a registration is kept alive', async () => {
    const [registry] = registries;
    const session = registry?.openSession({ ttlMs: 2000, mayReplace: () => false, onEvent: () => undefined });
    await session?.put('instances/web/a', '10.0.0.1:80');
    await allSee('instances/web/a', '10.0.0.1:80');
    await until('it was kept alive', async () => (await count('etcd_debugging_lease_renewed_total')) > 3, patience);
    expect((await writer.read('instances/')).entries).toHaveLength(1);
    await session?.close();
    for (const recorder of recorders) await recorder.sees('instances/web/a', undefined);
  });
});
