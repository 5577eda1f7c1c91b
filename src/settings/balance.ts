import { type Address, type Cidr, parseCidr } from '../model/address.ts';
import { Fault } from '../model/fault.ts';
import { accepted, type Parsed, quote, rejected } from '../model/parsed.ts';
import { type ErrorPages, parseDefaultPages } from '../model/policy/error-pages.ts';
import { parseDuration, parseShare } from '../model/quantity.ts';
import { type AcmeSettings, acmeOptions, acmeSettings } from './acme.ts';
import { type AddressSettings, addressOptions, addressSettings } from './addresses.ts';
import { adminHostsOption } from './admin-hosts.ts';
import { declareCommand } from './command.ts';
import { type FileDeclaration, fileDeclarations, fileOptions } from './file-declaration.ts';
import { type HoldingSettings, holdingOptions, holdingSettings } from './holding.ts';
import { type LimitSettings, limitOptions, limitSettings } from './limits.ts';
import { type LogSettings, logOptions, logSettings } from './log.ts';
import { defaulted, list, type Machine, onOff, optional, type ValuesOf } from './option.ts';
import { overlapFault } from './overlap.ts';
import { layoutOptions, type RegistrySettings, registryOptions, registrySettings } from './registry.ts';
import { addressWord, durationWord, labelWord, oneOf, onOffWord, pathWord, word } from './words.ts';

// A list of declarations, which is why this file is long.

/** The settings of a balancer. */
export type BalanceSettings = {
  /** This balancer's name in the fleet. */
  readonly id: string;
  readonly dir: string;
  /** Where this balancer runs: services may prefer instances of its zone. */
  readonly zone: string | undefined;
  /** A folder with the PEM files that policies name for TLS to servers; `server-tls` in `dir` if undefined. */
  readonly serverTls: string | undefined;
  /** A folder with the files of users and keys that policies name in `auth`; `secrets` in `dir` if undefined. */
  readonly secrets: string | undefined;
  /** A folder with the pages that policies name for errors; `error-pages` in `dir` if undefined. */
  readonly errorPages: string | undefined;
  /** The answer of services in maintenance; the shipped page if undefined. */
  readonly maintenancePage: string | undefined;
  /** The pages by status where a policy has none. */
  readonly defaultErrorPages: ErrorPages['own'] | undefined;
  /** Where HAProxy serves HTTP. */
  readonly http: Address;
  /** Where pointsman serves metrics and health. */
  readonly admin: Address;
  /** A folder with own templates; the shipped templates replace missing ones. */
  readonly templates: string | undefined;
  /** The program that runs HAProxy, and the command that makes it load a file. */
  readonly haproxy: HaproxySettings;
  /** Reloads are at least this far apart, in ms; the first is immediate. */
  readonly reloadIntervalMs: number;
  /** How often the changes of one service may need a reload. */
  readonly servicePace: { readonly burst: number; readonly everyMs: number };
  /** Workers of earlier reloads; more are ended. */
  readonly mostOldWorkers: number;
  /** Undefined where HAProxy is not to be reloaded so that servers reuse connections. */
  readonly reuseIntervalMs: number | undefined;
  readonly https:
    | {
        readonly bind: Address;
        /** A folder of certificates. */
        readonly certificates: string | undefined;
        readonly http3: boolean;
      }
    | undefined;
  /** Where certificates are ordered; undefined: nowhere. */
  readonly acme: AcmeSettings | undefined;
  /** The file of the keys that private keys in the registry are sealed with. */
  readonly sealingKeys: string | undefined;
  /** Whether each request is logged. */
  readonly accessLog: boolean;
  /** Whether routes are compared with the normal form of a path. */
  readonly normalizePaths: boolean;
  /** Whose `X-Forwarded-For` and the like are believed. */
  readonly trustedProxies: readonly Cidr[];
  /** Whose connections begin with a PROXY header. */
  readonly proxyProtocol: readonly Cidr[];
  /** The address of HAProxy's own metrics. */
  readonly haproxyMetrics: Address | undefined;
  /** How long an old worker may finish its connections after a reload, in ms. */
  readonly hardStopAfterMs: number;
  /** Whether a managed HAProxy ends at SIGTERM. */
  readonly onStop: 'stop' | 'leave';
  /** How long HAProxy goes on serving at SIGTERM while it is not ready any more, before it stops; in ms. */
  readonly lameDuckMs: number;
  /** How long its open requests may take when it stops, in ms. */
  readonly stopTimeoutMs: number;
  /** Other files that are made from what is served. */
  readonly files: readonly FileDeclaration[];
  /** Where instances may be, and how names are looked up. */
  readonly addresses: AddressSettings;
  /** How much of the registry is served. */
  readonly limits: LimitSettings;
  /** When many losses at once are not believed. */
  readonly guard: {
    readonly share: number;
    readonly minimum: number;
    readonly holdMs: number;
    readonly windowMs: number;
  };
  /** Which entries are held when the registry's history is replaced, or many entries are deleted at once. */
  readonly holding: HoldingSettings;
};

/** `executable`: the one named; undefined takes the one on PATH. */
export type HaproxySettings =
  | { readonly mode: 'managed'; readonly executable: string | undefined }
  | { readonly mode: 'attached'; readonly executable: string | undefined }
  | { readonly mode: 'command'; readonly checkCommand: string | undefined; readonly reloadCommand: string };

const stateFolder = ({ root, stateHome, home }: Machine): string =>
  root || (stateHome ?? home) === undefined ? '/var/lib/pointsman' : `${stateHome ?? `${home}/.local/state`}/pointsman`;

/** The settings of a balancer, also for those who ask what it would do. */
export const balancerOptions = {
  ...registryOptions,
  http: defaulted('HOST:PORT', addressWord, '127.0.0.1:8080', 'where HAProxy serves HTTP'),
  admin: defaulted(
    'HOST:PORT',
    addressWord,
    '127.0.0.1:8404',
    'where pointsman serves metrics, health, status and the page',
  ),
  ...adminHostsOption,
  adminTokenFile: optional(
    'FILE',
    pathWord,
    'file with the token for changes on the admin port; without it, the admin port changes nothing',
  ),
  dir: defaulted(
    'FOLDER',
    pathWord,
    { text: '/var/lib/pointsman as root, else ~/.local/state/pointsman', of: stateFolder },
    'folder for haproxy.cfg, its sockets and the last known state',
  ),
  id: defaulted(
    'NAME',
    word((text) =>
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(text)
        ? accepted(text)
        : rejected(`${quote(text)} is not 1 to 63 of A-Z a-z 0-9 . _ -, a letter or digit first`),
    ),
    { text: 'the host name', of: ({ hostname }) => hostname },
    'name of this balancer; each balancer of a registry needs its own',
  ),
  zone: optional('LABEL', labelWord, 'zone of this balancer; services may prefer instances of the same zone'),
  serverTls: optional(
    'FOLDER',
    pathWord,
    'folder of the PEM files that policies name for TLS to servers (default: server-tls in --dir)',
  ),
  secrets: optional(
    'FOLDER',
    pathWord,
    'folder of the files of users and keys that policies name in auth (default: secrets in --dir)',
  ),
  maintenancePage: optional(
    'FILE',
    pathWord,
    'HTML page that HAProxy answers with for services in maintenance, instead of the shipped one',
  ),
  errorPages: optional(
    'FOLDER',
    pathWord,
    'folder of the pages NAME.html that policies name for errors; changes are followed (default: error-pages in --dir)',
  ),
  defaultErrorPages: optional(
    'STATUS=NAME,…',
    word(parseDefaultPages),
    'pages of --error-pages for errors that no policy has a page for: 404=not-found,5xx=oops; 404 includes unknown hosts',
  ),
  haproxyTemplates: optional(
    'FOLDER',
    pathWord,
    'folder of your own templates of haproxy.cfg; the shipped ones are used for those it does not have',
  ),
  haproxy: optional('FILE', pathWord, 'the haproxy to run and to check configurations with (default: the one on PATH)'),
  haproxyMode: defaulted(
    'MODE',
    oneOf(['managed', 'attached', 'command']),
    'managed',
    'who runs HAProxy: managed (pointsman), attached (others, sockets in --dir), command (others, see --reload-command)',
  ),
  checkCommand: optional(
    'COMMAND',
    word((text) =>
      text.includes('{file}')
        ? accepted(text)
        : rejected(`${quote(text)} has no {file}: write {file} where the path belongs`),
    ),
    'in the mode command: checks {file} before a reload, run without a shell (default: no check)',
  ),
  reloadCommand: optional(
    'COMMAND',
    word((text) => (text.trim() === '' ? rejected('a command is missing') : accepted(text))),
    'in the mode command: makes HAProxy load haproxy.cfg of --dir, run without a shell',
  ),
  haproxyMetrics: optional(
    'HOST:PORT',
    addressWord,
    'where HAProxy serves its own metrics for Prometheus, at /metrics',
  ),
  https: optional('HOST:PORT', addressWord, 'where HAProxy serves HTTPS, with HTTP/2; needs --certificates or --acme'),
  certificates: optional(
    'FOLDER',
    pathWord,
    'folder of certificates for HTTPS: NAME.pem, or NAME.crt with NAME.key; changes are followed',
  ),
  http3: defaulted(
    'on|off',
    onOffWord,
    'off',
    'serve HTTP/3 on the port of --https as well; needs an HAProxy with QUIC (`haproxy -vv`)',
  ),
  ...acmeOptions,
  accessLog: defaulted(
    'on|off',
    onOffWord,
    'off',
    "log each request that HAProxy answers, as a line of pointsman's log with the event request",
  ),
  normalizePaths: defaulted(
    'on|off',
    onOffWord,
    'on',
    'normalize the path of a request (".", "..", repeated slashes, %61) before comparing it with routes',
  ),
  trustedProxies: list(
    'NETWORK',
    word(parseCidr),
    'networks of trusted proxies in front, whose X-Forwarded-For names the client; such headers from all others are removed',
  ),
  proxyProtocol: list(
    'NETWORK',
    word(parseCidr),
    'networks whose connections begin with a PROXY header (version 1 or 2), as those of a TCP load balancer; not HTTP/3',
  ),
  reloadInterval: defaulted(
    'DURATION',
    durationWord(0, 3_600_000),
    '1s',
    'least time between two reloads; the first is immediate',
  ),
  serviceReloadInterval: defaulted(
    'DURATION',
    durationWord(0, 3_600_000),
    '20s',
    'least time between the reloads that one service needs, after its first 5; 0s: only --reload-interval counts',
  ),
  reuseInterval: defaulted(
    'DURATION|never',
    word(parseReuseInterval),
    '5m',
    'before HAProxy 2.6.18: least time between reloads that let servers added at run time reuse connections',
  ),
  hardStopAfter: defaulted(
    'DURATION',
    durationWord(1000, 86_400_000),
    '10m',
    'how long an old worker may finish its connections after a reload',
  ),
  onStop: defaulted(
    'stop|leave',
    oneOf(['stop', 'leave']),
    'stop',
    'at SIGTERM, a managed HAProxy stops, or keeps serving until the next pointsman takes it over',
  ),
  lameDuck: defaulted(
    'DURATION',
    durationWord(0, 3_600_000),
    '0s',
    'how long a managed HAProxy keeps serving after SIGTERM, with /readyz at 503, before it stops',
  ),
  stopTimeout: defaulted(
    'DURATION',
    durationWord(0, 86_400_000),
    '10s',
    'how long open requests may take when HAProxy stops',
  ),
  ...layoutOptions,
  ...fileOptions,
  guardShare: defaulted(
    'PERCENT',
    word(parseShare),
    '50%',
    'guard the instances of a service if more than this share is lost at once; 100% switches the guard off',
  ),
  guardMinimum: defaulted(
    'COUNT',
    word((text) =>
      /^[1-9][0-9]{0,5}$/.test(text) ? accepted(Number(text)) : rejected(`${quote(text)} is not 1 to 999999`),
    ),
    '4',
    'the guard ignores services with fewer instances',
  ),
  guardHold: defaulted(
    'DURATION',
    durationWord(1000, 86_400_000),
    '10m',
    'how long the guard keeps lost instances at most, while their health checks pass',
  ),
  guardWindow: defaulted(
    'DURATION',
    durationWord(1000, 3_600_000),
    '10s',
    'losses within this time count as at once; use about the --ttl of the registrations',
  ),
  ...holdingOptions,
  ...addressOptions,
  ...limitOptions,
  ...logOptions,
};

/** The settings that `balance` and `render` share. */
export type BalancerSettings = {
  readonly registry: RegistrySettings;
  readonly layout: string | undefined;
  readonly log: LogSettings;
  readonly balance: BalanceSettings;
  readonly adminTokenFile: string | undefined;
  /** As what the admin port may be asked, beside its address and this machine's name. */
  readonly adminHosts: readonly string[];
};

/** Joins the options. Throws a Fault when they contradict each other. */
export function balancerSettings(values: ValuesOf<typeof balancerOptions>): BalancerSettings {
  const registry = registrySettings(values);
  const {
    id,
    dir,
    zone,
    serverTls,
    secrets,
    errorPages,
    defaultErrorPages,
    maintenancePage,
    http,
    admin,
    haproxyTemplates: templates,
  } = values;
  const {
    reloadInterval: reloadIntervalMs,
    reuseInterval: reuseIntervalMs,
    hardStopAfter: hardStopAfterMs,
    haproxyMetrics,
  } = values;
  const overlapping = overlapFault([
    { flag: '--http', address: http },
    { flag: '--https', address: values.https },
    { flag: '--haproxy-metrics', address: haproxyMetrics },
    { flag: '--admin', address: admin },
  ]);
  if (overlapping !== undefined) throw overlapping;
  const { onStop, lameDuck: lameDuckMs, stopTimeout: stopTimeoutMs } = values;
  const { guardShare: share, guardMinimum: minimum, guardHold: holdMs, guardWindow: windowMs } = values;
  const balance = {
    ...{ id, dir, zone, serverTls, secrets, errorPages, defaultErrorPages, maintenancePage, http, admin, templates },
    haproxy: haproxySettings(values),
    haproxyMetrics,
    https: httpsSettings(values),
    acme: acmeSettings(values),
    sealingKeys: values.sealingKeys,
    accessLog: values.accessLog === 'on',
    normalizePaths: values.normalizePaths === 'on',
    trustedProxies: values.trustedProxies,
    proxyProtocol: values.proxyProtocol,
    reloadIntervalMs,
    servicePace: { burst: 5, everyMs: values.serviceReloadInterval },
    mostOldWorkers: values.limitOldWorkers,
    reuseIntervalMs,
    hardStopAfterMs,
    onStop,
    lameDuckMs,
    stopTimeoutMs,
    files: fileDeclarations(values.templates),
    guard: { share, minimum, holdMs, windowMs },
    holding: holdingSettings(values),
    addresses: addressSettings(values, registry),
    limits: limitSettings(values),
  };
  const { layout, adminTokenFile, adminHosts } = values;
  if (layout !== undefined && balance.sealingKeys !== undefined) {
    const hint = 'leave it out, or leave out --layout';
    throw new Fault('settings', 'a tree in another layout has no certificates', { where: '--sealing-keys', hint });
  }
  return { registry, layout, log: logSettings(values), balance, adminTokenFile, adminHosts };
}

export const balanceCommand = declareCommand({
  name: 'balance',
  summary: 'follow the registry and keep HAProxy in step with it',
  options: {
    dryRun: onOff('show what each change would cause, and change nothing (like render --watch)'),
    ...balancerOptions,
  },
  assemble: ({ dryRun, ...values }) => ({ dryRun, ...balancerSettings(values) }),
});

function haproxySettings(values: {
  readonly haproxyMode: HaproxySettings['mode'];
  readonly haproxy: string | undefined;
  readonly checkCommand: string | undefined;
  readonly reloadCommand: string | undefined;
}): HaproxySettings {
  const { haproxyMode: mode, haproxy: executable, checkCommand, reloadCommand } = values;
  if (mode === 'command') {
    if (reloadCommand === undefined) {
      throw new Fault('settings', 'it is missing', {
        where: '--reload-command',
        hint: 'give it with --haproxy-mode command: systemctl reload-or-restart haproxy',
      });
    }
    if (executable === undefined) return { mode, checkCommand, reloadCommand };
    const hint = 'name it in --check-command';
    throw new Fault('settings', 'it cannot be used with --haproxy-mode command', { where: '--haproxy', hint });
  }
  const stray = reloadCommand !== undefined ? '--reload-command' : '--check-command';
  if (reloadCommand === undefined && checkCommand === undefined) return { mode, executable };
  throw new Fault('settings', `it cannot be used with --haproxy-mode ${mode}`, {
    where: stray,
    hint: 'give --haproxy-mode command',
  });
}

/** HTTPS takes an address and certificates. */
function httpsSettings({
  https: bind,
  certificates,
  acme,
  sealingKeys,
  http3,
}: {
  readonly https: Address | undefined;
  readonly certificates: string | undefined;
  readonly acme: string | undefined;
  readonly sealingKeys: string | undefined;
  readonly http3: 'on' | 'off';
}): BalanceSettings['https'] {
  const given = certificates ?? acme ?? sealingKeys;
  if (bind !== undefined && given !== undefined) return { bind, certificates, http3: http3 === 'on' };
  if (bind !== undefined) {
    const hint = 'give --certificates FOLDER, or --acme URL';
    throw new Fault('settings', 'HTTPS needs certificates', { where: '--https', hint });
  }
  const stray =
    certificates !== undefined ? '--certificates' : sealingKeys !== undefined ? '--sealing-keys' : undefined;
  if (acme !== undefined || stray === undefined) return undefined;
  throw new Fault('settings', 'it has no effect without --https', { where: stray, hint: 'give --https HOST:PORT' });
}

function parseReuseInterval(text: string): Parsed<number | undefined> {
  if (text === 'never') return accepted(undefined);
  const parsed = parseDuration(text);
  return parsed.ok && parsed.value < 10_000 ? rejected(`${quote(text)} is less than 10s`) : parsed;
}
