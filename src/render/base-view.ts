import type { Cidr } from '../model/address.ts';
import type { ErrorPages } from '../model/policy/error-pages.ts';
import { clientListFile } from './client-certificate-files.ts';
import { keySlots, slotFile } from './key-slots.ts';
import { type ErrorPageView, errorPageViews, inLines, milliseconds } from './policy-view.ts';
import type { Ports } from './ports.ts';

/** The settings of this balancer that templates see. Paths are absolute. */
export type BaseSettings = {
  /** `host:port` on which HTTP is served. */
  readonly bind: string;
  /** The host that `tcp` services' own ports are bound to. */
  readonly bindHost: string;
  /** Ports of that host which are not for services: HTTP's own, and pointsman's. */
  readonly reservedPorts: ReadonlySet<number>;
  readonly runtimeSocket: string;
  readonly routesMap: string;
  /** The map with how many requests one request counts as, for limits of the whole fleet. */
  readonly ratesMap: string;
  /** The file of server states that a worker begins with. */
  readonly serverStates: string;
  /** The socket on which a worker takes the requests that reach workers of before a reload. */
  readonly successorSocket: string;
  /** Where, before HAProxy 3.0, the sockets are by which a worker gives the counts of a policy's rate limit to its successor. */
  readonly peersFolder: string;
  readonly hardStopAfterMs: number;
  /** The file with the answer of a service in maintenance. */
  readonly maintenancePage: string;
  /** The Lua script that lets requests wait. */
  readonly pauseScript: string;
  /** The Lua script that tests matches. */
  readonly matchScript: string;
  /** The Lua script that asks another service about a request, and the socket on which HAProxy takes its questions. */
  readonly forwardAuthScript: string;
  readonly forwardAuthSocket: string;
  /** Where the files lie that a policy's `tls` names. */
  readonly pemFolder: string;
  /** What passwords and tokens are verified with, and the folder of the public keys. */
  readonly authMap: string;
  readonly authKeys: string;
  /** The folder of what HAProxy verifies certificates of clients with. */
  readonly clientCertificates: string;
  /** Where the pages lie that a policy's `errorPages` names. */
  readonly errorPages: string;
  /** The pages by status where a policy has none. */
  readonly defaultErrorPages?: ErrorPages['own'] | undefined;
  /** The zone of this balancer; undefined: no setting names it. */
  readonly zone: string | undefined;
  /** `host:port` on which HAProxy serves its own metrics; undefined when it does not. */
  readonly metricsBind?: string | undefined;
  /** Whether each request is logged, as JSON. */
  readonly accessLog?: boolean;
  /** Whether routes are matched with the normal form of a path. Undefined: they are. */
  readonly normalizePaths?: boolean;
  /** Networks of the proxies that may say who a client is (`X-Forwarded-For` and the like). */
  readonly trustedProxies?: readonly Cidr[];
  /** Networks whose connections begin with a PROXY header. */
  readonly proxyProtocol?: readonly Cidr[];
  /** Whether HAProxy answers the challenges of an ACME authority. Undefined: it does not. */
  readonly acme?: boolean | undefined;
  /** `host:port` on which HTTPS is served, with the list of its certificates. */
  readonly https?: { readonly bind: string; readonly list: string; readonly http3: boolean } | undefined;
};

/** The view of `haproxy.cfg.mustache`. */
export type BaseView = {
  readonly bind: string;
  readonly runtimeSocket: string;
  readonly routesMap: string;
  readonly serverStates: string;
  readonly successorSocket: string;
  /** As HAProxy writes a time: `30000ms`. */
  readonly hardStopAfter: string;
  readonly maintenancePage: string;
  /** The pages where a policy has none, and the one for a host or path without a service. */
  readonly defaultErrorPages: readonly ErrorPageView[];
  readonly notFoundPage: string | undefined;
  readonly pauseScript: string;
  readonly matchScript: string;
  readonly forwardAuthScript: string;
  readonly forwardAuthSocket: string;
  /** Where HAProxy's own exporter is asked for. */
  readonly metricsBind: string | undefined;
  /** The files of public keys, which HAProxy reads when it loads a configuration. */
  readonly authKeyFiles: readonly { readonly file: string }[];
  readonly accessLog: boolean;
  readonly normalizePaths: boolean;
  /** In lists that fit into a line each. */
  readonly trustedProxies: readonly { readonly networks: readonly Cidr[] }[];
  /** Whether there are trusted proxies. */
  readonly trusting: boolean;
  /** The positions in X-Forwarded-For, from the right, that may be a client behind two trusted proxies or more. */
  readonly hops: readonly { readonly to: number; readonly past: readonly number[] }[];
  /** Networks whose connections begin with a PROXY header, in lists that fit into a line each. */
  readonly proxySenders: readonly { readonly networks: readonly Cidr[] }[];
  /** Whether there are such networks. */
  readonly expectingProxy: boolean;
  /** Undefined where HTTPS is not served. */
  readonly https:
    | {
        readonly httpsBind: string;
        readonly certificateList: string;
        /** The list of hosts that ask for certificates of clients; undefined while no policy does. */
        readonly clientCertificateList: string | undefined;
        /** Whether `tcp` services share its port, so that a listener in front chooses by the names in TLS. */
        readonly sharesPort: boolean;
        readonly http3: { readonly quicBind: string; readonly port: string } | undefined;
      }
    | undefined;
  /** Whether there is a backend that answers the challenges of an ACME authority. */
  readonly acme: boolean;
  /** Whether HAProxy is about to stop: its clients are asked to close their connections. */
  readonly leaving: boolean;
  /** One for each `tcp` service that has its port. */
  readonly listeners: readonly {
    readonly name: string;
    readonly bind: string;
    readonly clientTimeout: string | undefined;
  }[];
  /** One for each port that `tcp` services share by the names in TLS. */
  readonly sharedListeners: readonly { readonly port: number; readonly bind: string; readonly besideHttps: boolean }[];
};

export function baseView(settings: BaseSettings, ports: Ports, asksCertificates = false): BaseView {
  const shared = [...ports].flatMap(([port, owner]) => (owner === 'shared' ? [port] : [])).sort((a, b) => a - b);
  const httpsPort = portOfHttps(settings);
  const { trustedProxies = [], proxyProtocol = [] } = settings;
  const defaultErrorPages = errorPageViews(settings.defaultErrorPages, settings.errorPages);
  return {
    bind: settings.bind,
    runtimeSocket: settings.runtimeSocket,
    routesMap: settings.routesMap,
    serverStates: settings.serverStates,
    successorSocket: settings.successorSocket,
    hardStopAfter: `${settings.hardStopAfterMs}ms`,
    maintenancePage: settings.maintenancePage,
    defaultErrorPages,
    notFoundPage: defaultErrorPages.find(({ status }) => status === 404)?.page,
    pauseScript: settings.pauseScript,
    matchScript: settings.matchScript,
    forwardAuthScript: settings.forwardAuthScript,
    forwardAuthSocket: settings.forwardAuthSocket,
    metricsBind: settings.metricsBind,
    authKeyFiles: Array.from({ length: keySlots }, (_, slot) => ({ file: slotFile(settings.authKeys, slot) })),
    accessLog: settings.accessLog ?? false,
    normalizePaths: settings.normalizePaths ?? true,
    trustedProxies: inLines(trustedProxies),
    trusting: trustedProxies.length > 0,
    hops: proxyHops,
    proxySenders: inLines(proxyProtocol),
    expectingProxy: proxyProtocol.length > 0,
    https: httpsView(
      settings.https,
      shared.some((port) => port === httpsPort),
      asksCertificates ? clientListFile(settings.clientCertificates) : undefined,
    ),
    acme: settings.acme ?? false,
    leaving: false,
    listeners: listenersOf(ports, settings),
    sharedListeners: shared.map((port) => {
      const besideHttps = port === httpsPort;
      const bind = besideHttps && settings.https ? settings.https.bind : `${settings.bindHost}:${port}`;
      return { port, bind, besideHttps };
    }),
  };
}

/** The port of HTTPS. */
export function portOfHttps({ https }: Pick<BaseSettings, 'https'>): number | undefined {
  return https && Number(https.bind.slice(https.bind.lastIndexOf(':') + 1));
}

function listenersOf(ports: Ports, { bindHost }: BaseSettings): BaseView['listeners'] {
  return [...ports]
    .flatMap(([port, owner]) => {
      if (owner === 'shared') return [];
      const { name, policy } = owner;
      return [{ name, bind: `${bindHost}:${port}`, clientTimeout: milliseconds(policy.timeouts.clientMs) }];
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

// As many trusted proxies may be in a row, the one that HAProxy is connected with among them.
const mostProxies = 5;

/** The last address in X-Forwarded-For is the connection's, and the one before it needs no rule of this kind. */
const proxyHops: BaseView['hops'] = Array.from({ length: mostProxies - 1 }, (_, i) => ({
  to: i + 3,
  past: Array.from({ length: i + 1 }, (_, left) => left + 2),
}));

function httpsView(
  https: BaseSettings['https'],
  sharesPort: boolean,
  clientList: string | undefined,
): BaseView['https'] {
  if (https === undefined) return undefined;
  const { bind, list, http3 } = https;
  const port = bind.slice(bind.lastIndexOf(':') + 1);
  const quicBind = `${bind.startsWith('[') ? 'quic6' : 'quic4'}@${bind}`;
  const lists = { certificateList: list, clientCertificateList: clientList };
  return { httpsBind: bind, ...lists, sharesPort, http3: http3 ? { quicBind, port } : undefined };
}
