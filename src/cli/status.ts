import { setTimeout as pause } from 'node:timers/promises';
import { faultsOfVersion } from '../haproxy/known-faults.ts';
import { readService } from '../operate/target.ts';
import { statusCommand } from '../settings/see.ts';
import { done, failed } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { formatOf, isSimple, print, printJson } from './outputs.ts';
import { unknownService } from './read-service.ts';
import { abortOnSignal } from './signals.ts';
import { readStatus, type Status } from './status-read.ts';
import { formatStatus } from './status-text.ts';

const everyMs = 1000;

export async function run(invocation: Invocation): Promise<number> {
  const settings = await readInvocation(statusCommand, invocation);
  const [text] = invocation.operands;
  const service = text === undefined ? undefined : readService(text);
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  const { signal, dispose } = abortOnSignal();
  const screen = settings.watch && process.stdout.isTTY && !settings.json && !isSimple(process.env);
  try {
    for (;;) {
      const status = await readStatus(registry, settings, service);
      // To the top and clear what is below, so that nothing flickers.
      if (screen) process.stdout.write('\u001b[H\u001b[J');
      if (settings.json) printJson(fieldsOf(status));
      else print(formatStatus(status, formatOf(process.stdout)));
      if (!settings.watch) {
        if (service !== undefined && status.services.length === 0) throw await unknownService(registry, service);
        return exitCodeFor(status);
      }
      await pause(everyMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return done;
    }
  } finally {
    dispose();
    await registry.close();
  }
}

/** A status that could not see the registry, or the servers of any balancer, may hide an outage, so it is no success. */
function exitCodeFor({ revision, balancers, notAsked }: Status): number {
  const blind = balancers.length > 0 && notAsked.length === balancers.length;
  return revision === undefined || blind ? failed : done;
}

function fieldsOf({ balancers, revision, ...status }: Status): object {
  return {
    ...status,
    revision: revision === undefined ? undefined : String(revision),
    balancers: balancers.map(({ id, says, admin, health: state, serves }) => ({
      id,
      revision: says?.ok ? String(says.value.revision) : undefined,
      haproxyVersion: says?.ok ? says.value.haproxyVersion : undefined,
      haproxyFaults: says?.ok ? faultsOfVersion(says.value.haproxyVersion).map(({ fault }) => fault.id) : undefined,
      admin,
      health: state,
      up: Object.fromEntries(serves.map(({ name, up }) => [name, up])),
    })),
  };
}
