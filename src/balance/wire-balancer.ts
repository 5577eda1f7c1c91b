import type { Logger } from 'pino';
import type { CatalogLimits } from '../catalog/limits.ts';
import type { Haproxy } from '../haproxy/haproxy.ts';
import { tellReplaced } from '../haproxy/master.ts';
import { RuntimeLink } from '../haproxy/runtime-link.ts';
import type { Entry } from '../registry/registry.ts';
import type { Templates } from '../render/render.ts';
import type { FrameSettings } from '../render/view.ts';
import { Locating, type LocatingParts } from './addresses/locating.ts';
import { FirstChecks } from './first-check/first-checks.ts';
import { UnprovenServers } from './first-check/unproven-servers.ts';
import type { GuardPolicy } from './guard/guard.ts';
import { GuardedInstancesFile } from './guard/guarded-instances-file.ts';
import { Guarding } from './guard/guarding.ts';
import type { BalanceMetrics } from './observe/metrics.ts';
import { Troubles } from './observe/troubles.ts';
import { OpenFilesLimit } from './open-files/open-files-limit.ts';
import { Overriding, type OverridingParts } from './overrides/overriding.ts';
import { Quarantining } from './quarantine/quarantining.ts';
import { Balancer } from './reconcile/balancer.ts';
import type { CheckedHolder } from './reconcile/periodic-checks.ts';
import { PassingOn } from './reload/passing-on.ts';
import type { ServicePace } from './reload/reload-budget.ts';
import { ServerStates } from './reload/server-states.ts';
import type { BalancePaths } from './state/paths.ts';
import { StateFiles } from './state/state-files.ts';
import { Storage } from './state/storage.ts';
import type { Certificates, CertificatesParts } from './tls/certificates.ts';
import { ServerPems } from './tls/server-pems.ts';
import { Upkeep } from './tls/upkeep.ts';

type WiringParts = {
  readonly paths: BalancePaths;
  readonly frame: FrameSettings;
  readonly templates: Templates;
  readonly guard: GuardPolicy;
  readonly held?: CheckedHolder | undefined;
  /** Told of overrides that have ended because their time was up. */
  readonly onOverridesExpired?: OverridingParts['onExpired'];
  /** Free values that are kept on disk with the catalog. */
  readonly values?: () => readonly Entry[];
  /** The location of the registry, which the catalog is kept with. */
  readonly location?: string;
  readonly limits: CatalogLimits;
  /** How names are looked up, and where instances may be. */
  readonly addresses: Pick<LocatingParts, 'rules' | 'own' | 'names' | 'lookUp'>;
  readonly reloadIntervalMs: number;
  readonly servicePace: ServicePace;
  readonly mostOldWorkers: number;
  readonly reuseIntervalMs: number | undefined;
  /** When those that are held are first asked about, in ms. */
  readonly probeMs: number;
  readonly metrics: BalanceMetrics;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly wall: () => Date;
  readonly openHaproxy: (onExit: (reason: string) => void, onHealth: () => void) => Promise<Haproxy>;
  /** Told the version of HAProxy, whenever that is another one. */
  readonly onHaproxyVersion?: (version: string) => void;
  /** Aborted when pointsman is to end. */
  readonly signal?: AbortSignal | undefined;
  /** Puts what ships with pointsman in place, once the folders are there. */
  readonly provideShipped: () => Promise<void>;
  readonly openCertificates?:
    | ((told: Pick<CertificatesParts, 'onChange' | 'onReload' | 'onDrift'>) => Certificates)
    | undefined;
  /** Where HAProxy is spoken with, if not on its own socket. */
  readonly socket?: string | undefined;
  /** The servers that wait for their first check are others than before. */
  readonly onUnproven?: () => void;
};

/** How long an old worker may take to answer, in ms. */
const oldWorkerMs = 2000;

/** A balancer with all that it works with. Rejects with a Fault when HAProxy or its folders cannot be had. */
export async function wireBalancer(parts: WiringParts) {
  const { paths, templates, metrics, logger, now, wall } = parts;
  const haproxy = await parts.openHaproxy(
    (reason) => balancer.haproxyExited(reason),
    () => states.changed(),
  );
  const storage = new Storage({ metrics, logger, now });
  const files = new StateFiles({
    paths,
    check: (file, deadlineMs) => haproxy.validate(file, deadlineMs),
    templates,
    storage,
    wall,
    now,
    values: parts.values,
    registry: parts.location,
  });
  await files.makeFolders();
  await parts.provideShipped();
  const troubles = new Troubles({ metrics, logger, now });
  const onReload = (file: string) => balancer.reloadFor(file);
  const certificates = parts.openCertificates?.({
    onChange: () => balancer.lookSoon(),
    onReload,
    onDrift: (differences) => balancer.drifted(differences),
  });
  if (certificates !== undefined) {
    await certificates.prepare();
    files.restoreWith(() => certificates.restore());
  }
  const serverPems = new ServerPems({
    folder: parts.frame.pemFolder,
    logger,
    onChange: () => balancer.fileChanged(),
    onReload,
  });
  const link = new RuntimeLink({
    socket: parts.socket ?? paths.runtimeSocket,
    masterSocket: paths.masterSocket,
    routesMap: paths.routesMap,
    logger,
    onLost: (reason) => balancer.runtimeLost(reason),
    onVersion: (version) => parts.onHaproxyVersion?.(version),
  });
  const passingOn = new PassingOn({
    // Where no master can be asked, the connection to the worker of before this reload is still open.
    tell: (pid) =>
      tellReplaced(paths.masterSocket, pid, oldWorkerMs).catch((error: unknown) =>
        link.workerPid === pid ? link.tellReplaced() : Promise.reject(error),
      ),
    logger,
  });
  const unproven = new UnprovenServers({
    serverStates: () => link.serverStates(),
    onChange: () => {
      parts.onUnproven?.();
      states.keepSoon();
    },
    logger,
  });
  const firstChecks = new FirstChecks({
    unproven,
    raise: async (service, id) => {
      await link.raise(service, id);
      states.raised(service, id);
    },
    isLoading: () => balancer.loading,
    pemFolder: parts.frame.pemFolder,
    logger,
    now,
  });
  const states = new ServerStates({
    path: paths.serverStates,
    link,
    firstChecks,
    unproven: () => unproven.names,
    served: () => balancer.served,
    logger,
    now,
    write: (path, text) => files.writeForHaproxy(path, text),
  });
  const holds = new GuardedInstancesFile({
    path: paths.holds,
    storage,
    wall,
    write: (path, text) => files.writeInTurn(path, text),
  });
  const guarding = new Guarding({
    policy: parts.guard,
    metrics,
    logger,
    now,
    onChange: (service, id) => balancer.markDirty(service, id),
    onGuarded: (guarded) => holds.save(guarded),
  });
  const locating = new Locating({
    ...parts.addresses,
    metrics,
    logger,
    now,
    onChange: (users) => balancer.relocated(users),
  });
  const openFiles = new OpenFilesLimit({ metrics, logger, now });
  const overriding = new Overriding({
    metrics,
    logger,
    canPause: () => link.canPause,
    clocks: () => ({ now: now(), wall: wall().getTime() }),
    onDue: (targets) => balancer.endOverrides(targets),
    onExpired: (targets) => parts.onOverridesExpired?.(targets),
  });
  const path = paths.quarantine;
  const quarantining = new Quarantining({ ...parts, files, storage, path });
  const aside = { connect: () => link.aside(), troubles, logger };
  const upkeeps = [new Upkeep({ ...aside, part: 'server-tls', serve: (worker) => serverPems.serve(worker) })];
  if (certificates !== undefined) {
    upkeeps.push(new Upkeep({ ...aside, part: 'certificates', serve: (worker) => certificates.serve(worker) }));
  }
  const lookAtFiles = () => {
    for (const upkeep of upkeeps) upkeep.look();
  };
  const working = {
    haproxy,
    files,
    states,
    passingOn,
    firstChecks,
    storage,
    quarantining,
    guarding,
    locating,
    openFiles,
    overriding,
    link,
    troubles,
    lookAtFiles,
  };
  const balancer = new Balancer({ ...parts, ...working });
  const closeFiles = async () => {
    unproven.close();
    await certificates?.close();
    await serverPems.close();
    await Promise.all(upkeeps.map((upkeep) => upkeep.close()));
  };
  return {
    balancer,
    haproxy,
    storage,
    certificates,
    serverPems,
    closeFiles,
    unproven,
    link,
    holds,
    guarding,
    locating,
    openFiles,
    overriding,
  };
}
