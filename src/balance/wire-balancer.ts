import type { Haproxy } from '../haproxy/haproxy.ts';
import type { HealthChange } from '../haproxy/health-change.ts';
import { tellReplaced } from '../haproxy/master.ts';
import type { OnHealth } from '../haproxy/output.ts';
import { RuntimeLink, type WorkerConnection } from '../haproxy/runtime-link.ts';
import type { ServiceName } from '../model/name.ts';
import type { Entry } from '../registry/registry.ts';
import { Locating, type LocatingParts } from './addresses/locating.ts';
import { Ejecting } from './ejection/ejecting.ts';
import { FirstChecks } from './first-check/first-checks.ts';
import { UnprovenServers } from './first-check/unproven-servers.ts';
import type { GuardPolicy } from './guard/guard.ts';
import { GuardedInstancesFile } from './guard/guarded-instances-file.ts';
import { Guarding } from './guard/guarding.ts';
import type { BalanceMetrics } from './metrics.ts';
import { HealthLog } from './observe/health-log.ts';
import { HealthWatch } from './observe/health-watch.ts';
import { Troubles } from './observe/troubles.ts';
import { OpenFilesLimit } from './open-files/open-files-limit.ts';
import { Overriding, type OverridingParts } from './overrides/overriding.ts';
import { Quarantining } from './quarantine/quarantining.ts';
import { Balancer } from './reconcile/balancer.ts';
import type { BalancerSettings } from './reconcile/balancer-parts.ts';
import { ServerStates } from './reload/server-states.ts';
import { secretFilesOf } from './secrets/secret-files-of.ts';
import { Secrets } from './secrets/secrets.ts';
import { type BalancePaths, configMode, makeFolders } from './state/paths.ts';
import { StateFiles } from './state/state-files.ts';
import { Storage } from './state/storage.ts';
import type { Certificates, CertificatesParts } from './tls/certificates.ts';
import { ClientCertificates } from './tls/client-certificates.ts';
import { ServerPems } from './tls/server-pems.ts';
import { Upkeep, type UpkeepParts } from './tls/upkeep.ts';

type WiringParts = BalancerSettings & {
  readonly paths: BalancePaths;
  readonly metrics: BalanceMetrics;
  readonly guard: GuardPolicy;
  readonly onOverridesExpired?: OverridingParts['onExpired'];
  /** Free values that are saved on disk with the catalog. */
  readonly values?: () => readonly Entry[];
  /** The location of the registry, which is saved with the catalog. */
  readonly location?: string;
  readonly addresses: Pick<LocatingParts, 'rules' | 'own' | 'names' | 'lookUp'>;
  /** When HAProxy validates for the first time again what it refused, in ms. */
  readonly retryMs: number;
  readonly openHaproxy: (onExit: (reason: string) => void, onHealth: OnHealth) => Promise<Haproxy>;
  /** Runs after each connection to HAProxy. */
  readonly onHaproxyVersion?: (version: string) => void;
  /** The folder of the files of users and keys. */
  readonly secretsFolder: string;
  /** Copies the files that ship with pointsman, once the folders exist. */
  readonly provideShipped: () => Promise<void>;
  readonly openCertificates?:
    | ((callbacks: Pick<CertificatesParts, 'onChange' | 'onReload' | 'onDrift' | 'onServed'>) => Certificates)
    | undefined;
  /** The worker serves other certificates than before. */
  readonly onCertificatesServed?: () => void;
  /** Another path of the runtime socket, for tests. */
  readonly socket?: string | undefined;
  /** Other servers than before wait for their first check. */
  readonly onUnproven?: () => void;
};

/** How long an old worker may take to answer, in ms. */
const oldWorkerMs = 2000;

/** Makes a balancer with everything that it works with. Rejects with a Fault when HAProxy or a folder is missing. */
export async function wireBalancer(parts: WiringParts) {
  const { paths, templates, baseSettings, limits, metrics, logger, signal, now, wall, onHaproxyVersion } = parts;
  const healthLog = new HealthLog({ logger, now });
  const tellHealth = (change: HealthChange) => {
    healthLog.tell(change);
    ejecting.heard(change);
    balancer.onServerTurned(change.to, change.service as ServiceName);
  };
  const haproxy = await parts.openHaproxy(
    (reason) => balancer.watch.onExit(reason),
    (change) => {
      if (change !== undefined) tellHealth(change);
      states.changed();
    },
  );
  const storage = new Storage({ metrics: metrics.storage, logger, now });
  const { values, location: registry } = parts;
  const check = (file: string, deadlineMs: number) => haproxy.validate(file, deadlineMs);
  const files = new StateFiles({ paths, check, templates, storage, wall, now, values, registry });
  await makeFolders(paths);
  await parts.provideShipped();
  const troubles = new Troubles({ metrics: metrics.trouble, logger, now });
  const link = new RuntimeLink({
    socket: parts.socket ?? paths.runtimeSocket,
    masterSocket: paths.masterSocket,
    routesMap: paths.routesMap,
    logger,
    onLost: (reason) => balancer.watch.onLost(reason),
    onVersion: (version) => onHaproxyVersion?.(version),
  });
  const tls = await wireTls(parts, { files, link, troubles, haproxy, balancer: () => balancer });
  const { states, unproven, firstChecks } = wireFirstChecks(parts, {
    files,
    link,
    balancer: () => balancer,
  });
  const { guarding, holds } = wireGuard(parts, { files, storage, balancer: () => balancer });
  const ejecting: Ejecting = new Ejecting({
    ...{ link, metrics: metrics.ejection, logger, now },
    onChange: (service, id) => balancer.onEjectionChanged(service, id),
  });
  const { rules, own, names, lookUp } = parts.addresses;
  const onChange: LocatingParts['onChange'] = (users) => balancer.relocated(users);
  const locating = new Locating({ rules, own, names, lookUp, metrics: metrics.names, logger, now, onChange });
  const openFiles = new OpenFilesLimit({ metrics: metrics.openFiles, logger, now });
  const overriding = new Overriding({
    metrics: metrics.overrides,
    logger,
    canPause: () => link.canPause,
    clocks: () => ({ now: now(), wall: wall().getTime() }),
    onDue: (targets) => balancer.endOverrides(targets),
    onExpired: (targets) => parts.onOverridesExpired?.(targets),
  });
  // If the master does not answer, the connection to the worker of before this reload is still open.
  const passOn = (pid: number) =>
    tellReplaced(paths.masterSocket, pid, oldWorkerMs).catch((error: unknown) =>
      link.workerPid === pid ? link.tellReplaced() : Promise.reject(error),
    );
  const { retryMs, heldEntries, reloadIntervalMs, servicePace, mostOldWorkers, reuseIntervalMs } = parts;
  const path = paths.quarantine;
  const quarantining = new Quarantining({
    ...{ files, baseSettings, storage, logger, path, now, retryMs },
    metrics: metrics.quarantine,
  });
  const { lookAtFiles, lookAtSecrets, certificates, serverPems, secrets, clientCertificates } = tls;
  const balancer: Balancer = new Balancer({
    ...{ haproxy, link, files, states, passOn, firstChecks, storage, troubles, lookAtFiles, quarantining },
    ...{ guarding, ejecting, heldEntries, locating, openFiles, overriding, templates, baseSettings, limits },
    secretProblem: (file) => secrets.problemInUse(file),
    ...{ reloadIntervalMs, servicePace, mostOldWorkers, reuseIntervalMs, metrics, logger, signal, now, wall },
  });
  const healthWatch = new HealthWatch({ link, logger, now, onChange: tellHealth });
  if (!haproxy.printsHere) healthWatch.begin();
  const close = async () => {
    healthWatch.close();
    healthLog.close();
    unproven.close();
    await tls.close();
    guarding.close();
    await ejecting.close();
    locating.close();
    openFiles.close();
    await holds.flush();
    overriding.close();
  };
  return {
    ...{
      balancer,
      haproxy,
      files,
      storage,
      certificates,
      serverPems,
      secrets,
      clientCertificates,
      lookAtSecrets,
      unproven,
      link,
      holds,
      guarding,
      ejecting,
      locating,
      overriding,
      openFiles,
      quarantining,
      troubles,
    },
    close,
  };
}

/** Not made yet when the parts are that call it. */
type Late = { readonly balancer: () => Balancer };
type TlsParts = Late & {
  readonly files: StateFiles;
  readonly link: RuntimeLink;
  readonly troubles: Troubles;
  readonly haproxy: Haproxy;
};
async function wireTls(
  {
    baseSettings,
    logger,
    openCertificates,
    onCertificatesServed,
    secretsFolder,
    paths: { fetchedKeys: secretsKept },
  }: WiringParts,
  { files, link, troubles, haproxy, balancer }: TlsParts,
) {
  const onReload = (file: string) => balancer().reloadFor(file);
  const certificates = openCertificates?.({
    // An inspection would hold up acknowledgements. Before HAProxy serves, the first one looks.
    onChange: () => (link.workerPid === undefined ? balancer().watch.inspectSoon() : lookAtFiles()),
    onReload,
    onDrift: (differences) => balancer().drifted(differences),
    onServed: (names) => {
      balancer().certify(names);
      onCertificatesServed?.();
    },
  });
  await certificates?.prepare();
  const onChange = () => balancer().fileChanged();
  const serverPems = new ServerPems({ folder: baseSettings.pemFolder, logger, onChange, onReload });
  const connect = () => link.aside();
  const secrets: Secrets = new Secrets({
    ...{
      folder: secretsFolder,
      map: baseSettings.authMap,
      keys: baseSettings.authKeys,
      kept: secretsKept,
      logger,
      onReload,
    },
    named: () => secretFilesOf(balancer().effective.requested.catalog),
    onChange: () => secretsUpkeep.look(),
  });
  const clientCertificates = new ClientCertificates({
    ...{ secrets: secretsFolder, own: baseSettings.clientCertificates, logger, onReload },
    services: () => balancer().effective.requested.catalog.services.values(),
    certificates: () => certificates?.folder.wanted ?? new Map(),
    check: (file, deadlineMs) => haproxy.validate(file, deadlineMs),
  });
  await clientCertificates.prepare();
  await secrets.prepare((await haproxy.processes())?.workerPid);
  files.restoreOthers = async () => [
    ...((await certificates?.folder.restore()) ?? []),
    ...(await secrets.restore()),
    ...(await clientCertificates.restore()),
  ];
  const serveSecrets = async (worker: WorkerConnection) => {
    const refused = await clientCertificates.serve(worker);
    const problem = (await secrets.serve(worker)) ?? refused;
    balancer().secretsServed();
    return problem;
  };
  const secretsUpkeep = new Upkeep({ part: 'secrets', serve: serveSecrets, connect, troubles, logger });
  const upkeeps = [
    new Upkeep({ part: 'server-tls', serve: (worker) => serverPems.serve(worker), connect, troubles, logger }),
    secretsUpkeep,
  ];
  if (certificates !== undefined) {
    const serve: UpkeepParts['serve'] = (worker) => certificates.serve(worker);
    upkeeps.push(new Upkeep({ part: 'certificates', serve, connect, troubles, logger }));
  }
  const lookAtFiles = () => {
    for (const upkeep of upkeeps) upkeep.look();
  };
  return {
    ...{ certificates, serverPems, secrets, clientCertificates, lookAtFiles },
    lookAtSecrets: () => secretsUpkeep.look(),
    close: async () => {
      await certificates?.close();
      await serverPems.close();
      await secrets.close();
      await Promise.all(upkeeps.map((upkeep) => upkeep.close()));
    },
  };
}

/** First checks of new servers, and the states of all servers that each new worker begins with. */
function wireFirstChecks(
  { paths, baseSettings, logger, now, onUnproven }: WiringParts,
  { files, link, balancer }: Late & { readonly files: StateFiles; readonly link: RuntimeLink },
) {
  const unproven = new UnprovenServers({
    serverStates: () => link.serverStates(),
    onChange: () => {
      onUnproven?.();
      states.keepSoon();
    },
    logger,
  });
  const firstChecks = new FirstChecks({
    unproven,
    raise: async (service, id) => {
      await link.raise(service, id);
      states.raised(service, id);
      balancer().onServerTurned('up', service);
    },
    isLoading: () => balancer().loading,
    pemFolder: baseSettings.pemFolder,
    logger,
    now,
  });
  const states = new ServerStates({
    path: paths.serverStates,
    link,
    firstChecks,
    unproven: () => unproven.names,
    served: () => balancer().served,
    logger,
    now,
    write: (path, text) => files.writeInTurn(path, text, configMode),
  });
  return { unproven, firstChecks, states };
}

function wireGuard(
  { paths, guard: policy, metrics, logger, now, wall }: WiringParts,
  { files, storage, balancer }: Late & { readonly files: StateFiles; readonly storage: Storage },
) {
  const write = (path: string, text: string) => files.writeInTurn(path, text);
  const holds = new GuardedInstancesFile({ path: paths.holds, storage, wall, write });
  const guarding = new Guarding({
    policy,
    metrics: metrics.guard,
    logger,
    now,
    onChange: (service, id) => balancer().onGuardChanged(service, id),
    onGuarded: (guarded) => holds.save(guarded),
  });
  return { holds, guarding };
}
