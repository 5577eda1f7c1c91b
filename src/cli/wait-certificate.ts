import { describeProgress, type FleetProgress, isReached, isSettled, progressOf } from '../fleet/await-fleet.ts';
import { Fleet } from '../fleet/fleet.ts';
import { certificateKey, orderKey } from '../model/acme/keys.ts';
import { parseOrderRecord } from '../model/acme/order-record.ts';
import type { Address } from '../model/address.ts';
import { Fault } from '../model/fault.ts';
import { formatDuration } from '../model/quantity.ts';
import type { Revision } from '../model/revision.ts';
import { keysFrom, type Registry } from '../registry/registry.ts';
import { rootOf } from '../settings/registry.ts';
import type { waitCommand } from '../settings/wait.ts';
import { deferred } from '../waiting/deferred.ts';
import { timeLimit } from '../waiting/time-limit.ts';
import { done, failed } from './exit-code.ts';
import { createLogger } from './logger.ts';
import { type OrderWatch, whyNeverOrdered } from './never-ordered.ts';
import { openRegistry } from './open-registry.ts';
import { print, printJson } from './outputs.ts';
import { startSpinner } from './spinner.ts';

type CertificateWait = {
  readonly host: string;
  readonly timeoutMs: number;
  /** Where a balancer of this machine may answer. */
  readonly admin: Address;
  readonly json: boolean;
};

type WaitState = {
  /** The last change of the certificate; undefined while there is none. */
  readonly revision: Revision | undefined;
  readonly progress: FleetProgress | undefined;
  /** Why there will be none: nobody orders one. */
  readonly never: string | undefined;
};

/** `pointsman wait --certificate HOST`: until the registry has a certificate of the host, and every live balancer serves it. */
export async function waitForCertificate(
  { host, timeoutMs, admin, json }: CertificateWait,
  settings: Pick<ReturnType<(typeof waitCommand)['assemble']>, 'registry' | 'log'>,
): Promise<number> {
  const registry = await openRegistry(settings.registry, await createLogger(settings.log));
  const spinner = startSpinner(process.stderr, `${host}: waiting for an answer of ${registry.location}`);
  try {
    const started = performance.now();
    const about = { host, registry, admin, root: rootOf(settings.registry) };
    const state = await followCertificate(about, timeLimit(timeoutMs), (now) =>
      spinner.say(`${host}: ${describeState(now)}`),
    );
    spinner.stop();
    const tookMs = Math.round(performance.now() - started);
    const isMissing = state.revision === undefined && state.never === undefined;
    return tell({ host, json, tookMs, error: isMissing ? await lastError(host, registry) : undefined }, state);
  } finally {
    spinner.stop();
    await registry.close();
  }
}

type Told = {
  readonly host: string;
  readonly json: boolean;
  readonly tookMs: number;
  readonly error: string | undefined;
};

function tell({ host, json, tookMs, error }: Told, state: WaitState): number {
  const reached = isServed(state);
  const balancers = state.progress?.kind === 'heard' ? state.progress.balancers : [];
  if (json) {
    const rows = balancers.map(({ balancer, behind, refusals }) => ({
      balancer,
      missing: behind ?? refusals[0]?.reason,
    }));
    printJson({
      reached,
      certificate: host,
      revision: state.revision && String(state.revision),
      reason: reached ? undefined : (state.never ?? error),
      balancers: rows,
      tookMs,
    });
    return reached ? done : failed;
  }
  if (reached) {
    const { length } = balancers;
    const who = `${length} balancer${length === 1 ? '' : 's'}`;
    print(`the certificate of ${host} is served by ${who} (revision ${state.revision}, ${formatDuration(tookMs)})\n`);
    return done;
  }
  if (state.never !== undefined)
    throw new Fault('deadline', `there will be no certificate: ${state.never}`, { where: host });
  const why = error === undefined ? describeState(state) : `${describeState(state)}: ${error}`;
  throw new Fault('deadline', `no certificate on every balancer after ${formatDuration(tookMs)}: ${why}`, {
    where: host,
  });
}

const isServed = ({ revision, progress }: WaitState): boolean =>
  revision !== undefined && progress?.kind === 'heard' && progress.balancers.length > 0 && isReached(progress);

/** Whether waiting does not help: the balancers refuse it for good, or nobody orders one. */
const isHopeless = ({ progress, never }: WaitState): boolean =>
  never !== undefined || (progress?.kind === 'heard' && progress.balancers.length > 0 && isSettled(progress));

function describeState({ revision, progress }: Pick<WaitState, 'revision' | 'progress'>): string {
  if (revision === undefined) return 'the registry has no certificate of this host';
  if (progress === undefined) return 'waiting for the balancers';
  if (progress.kind === 'heard' && progress.balancers.length === 0) return 'no balancer is alive';
  return describeProgress(progress);
}

/**
 * Resolves when every live balancer serves the certificate or refuses it for good, when there is none and nobody orders one, or with how far the
 * balancers are when `signal` aborts.
 */
async function followCertificate(
  { host, registry, ...about }: Omit<OrderWatch, 'fleet'>,
  signal: AbortSignal,
  onProgress: (state: WaitState) => void,
): Promise<WaitState> {
  const fleet = new Fleet(registry);
  const key = certificateKey(host);
  const ended = deferred();
  let revision: Revision | undefined;
  let never: string | undefined;
  const stateNow = (): WaitState => ({
    revision,
    progress: revision === undefined ? undefined : progressOf(fleet.view, { revision, keys: new Set([key]) }),
    never: revision === undefined ? never : undefined,
  });
  const look = () => {
    const state = stateNow();
    onProgress(state);
    if (signal.aborted || isServed(state) || isHopeless(state)) ended.resolve();
  };
  const over = new AbortController();
  const whileAsked = AbortSignal.any([signal, over.signal]);
  const stopListening = fleet.listen(look);
  const follower = registry.follow((event) => {
    if (event.kind === 'snapshot') revision = event.entries.get(key)?.revision;
    if (event.kind === 'changes') {
      for (const change of event.changes) {
        if (change.kind === 'put' && change.entry.key === key) revision = change.entry.revision;
        if (change.kind === 'delete' && change.key === key) revision = undefined;
      }
    }
    look();
  }, keysFrom(key));
  signal.addEventListener('abort', look, { once: true });
  // Nobody waits for it at the end: an admin port may hang.
  void whyNeverOrdered({ host, registry, fleet, ...about }, whileAsked).then((reason) => {
    never = reason;
    look();
  });
  try {
    await ended.promise;
    return stateNow();
  } finally {
    over.abort();
    stopListening();
    signal.removeEventListener('abort', look);
    await Promise.all([follower.close(), fleet.close()]);
  }
}

/** Why the last order of the host failed; undefined: none did, or the registry does not tell. */
async function lastError(host: string, registry: Registry): Promise<string | undefined> {
  const key = orderKey(host);
  const listing = await registry.read(key, timeLimit(2000)).catch(() => undefined);
  const value = listing?.entries.find((entry) => entry.key === key)?.value;
  const record = value === undefined ? undefined : parseOrderRecord(value);
  return record?.ok === true ? record.value.error : undefined;
}
