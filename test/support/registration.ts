import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { openDirectoryRegistry } from '../../src/registry/directory/directory-registry.ts';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { Recorder } from '../registry/recorder.ts';
import { type RegistryKind, startScenario } from './scenario.ts';

/** A scenario whose registry is followed: what `register` does is seen as a balancer sees it. */
export async function startRegistration(kind: RegistryKind) {
  const scenario = await startScenario(kind);
  const registry: Registry =
    scenario.etcd === undefined
      ? openDirectoryRegistry({ path: scenario.location.slice('dir:'.length), logger: pino({ level: 'silent' }) })
      : openEtcdRegistry({ endpoints: scenario.etcd.endpoints, root: '/pointsman/' });
  onTestFinished(() => registry.close());
  const recorder = new Recorder(registry);
  await recorder.started();
  /** What became of one instance, step by step. */
  const states = (name = 'web/a') =>
    recorder.changes
      .filter((change) => change.includes(`instances/${name}`))
      .map((change) => (change.includes(' delete ') ? 'deleted' : change.includes('draining') ? 'draining' : 'ready'));
  return { ...scenario, registry, recorder, states };
}
