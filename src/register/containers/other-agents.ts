import { setTimeout as pause } from 'node:timers/promises';
import type { Container } from '../../engine/container.ts';
import { isOfContainer } from '../../engine/container-mark.ts';
import { labelGroups } from '../../engine/label-groups.ts';
import { errorCode } from '../../model/fault.ts';
import { parseInstance } from '../../model/instance.ts';
import { parseInstanceId, parseServiceName } from '../../model/name.ts';
import type { Registry } from '../../registry/registry.ts';
import { withTimeLimit } from '../../waiting/time-limit.ts';

const everyMs = 100;

/**
 * Waits until the registry has no instance of the container, whichever agent announced it: a second agent of the same engine may still
 * drain it. Calls `onPresent` once with the keys that it finds. Resolves with false when that takes longer than `limitMs`, or when the
 * registry does not answer within `silentMs`.
 */
export function untilUnannounced(
  registry: Pick<Registry, 'read'>,
  container: Pick<Container, 'id' | 'labels'>,
  {
    limitMs,
    silentMs,
    signal,
    onPresent,
  }: { limitMs: number; silentMs: number; signal: AbortSignal; onPresent: (keys: readonly string[]) => void },
): Promise<boolean> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), silentMs);
  const either = AbortSignal.any([signal, silence.signal]);
  const unannounced = withTimeLimit(limitMs, either, async (limit) => {
    for (let told = false; !limit.aborted; ) {
      // A registry that does not answer is asked again, since it may have an instance. A user without the right to read never learns more.
      const keys = await keysOf(registry, container, limit).catch((error: unknown) =>
        errorCode(error) === 'registry-denied' ? [] : undefined,
      );
      if (keys?.length === 0) return true;
      if (keys !== undefined) clearTimeout(timer);
      if (keys !== undefined && !told) onPresent(keys);
      told ||= keys !== undefined;
      await pause(everyMs, undefined, { signal: limit }).catch(() => undefined);
    }
    return false;
  });
  return unannounced.finally(() => clearTimeout(timer));
}

async function keysOf(
  registry: Pick<Registry, 'read'>,
  { id, labels }: Pick<Container, 'id' | 'labels'>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const services = new Set(labelGroups(labels).map(({ service }) => service));
  const found: string[] = [];
  for (const text of services) {
    const service = parseServiceName(text);
    if (!service.ok) continue;
    const prefix = `instances/${service.value}/`;
    for (const { key, value } of (await registry.read(prefix, signal)).entries) {
      const instanceId = parseInstanceId(key.slice(prefix.length));
      if (!instanceId.ok) continue;
      const instance = parseInstance(service.value, instanceId.value, value);
      if (instance.ok && isOfContainer(instance.value, id)) found.push(key);
    }
  }
  return found;
}
