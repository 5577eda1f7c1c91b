import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { openDirectoryRegistry } from '../../src/registry/directory/directory-registry.ts';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { Recorder } from '../registry/recorder.ts';
import { type RegistryKind, startScenario } from './scenario.ts';

/** A scenario whose registry is followed, so that a test sees what a balancer would see of `register`. */
export async function startRegistration(kind: RegistryKind) {
  const scenario = await startScenario(kind);
  const registry: Registry =
    scenario.etcd === undefined
      ? openDirectoryRegistry({ path: scenario.location.slice('dir:'.length), logger: pino({ level: 'silent' }) })
      : openEtcdRegistry({ endpoints: scenario.etcd.endpoints, root: '/pointsman/' });
  onTestFinished(() => registry.close());
  const recorder = new Recorder(registry);
  await recorder.started();
  /** The states of one instance, in their order. */
  const states = (name = 'web/a') =>
    recorder.changes
      .filter((change) => change.includes(`instances/${name}`))
      .map((change) => (change.includes(' delete ') ? 'deleted' : change.includes('draining') ? 'draining' : 'ready'));
  return { ...scenario, registry, recorder, states };
}
