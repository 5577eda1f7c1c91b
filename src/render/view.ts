import { numberOf } from '../catalog/numbers.ts';
import type { Service } from '../catalog/service.ts';
import { formatAddress } from '../model/address.ts';
import type { Instance } from '../model/instance.ts';
import { dividedWeight, divisorOfWeights } from '../model/policy/balance.ts';
import type { ServerCheck } from '../model/policy/check.ts';
import type { Policy } from '../model/policy.ts';
import type { BaseSettings } from './base-view.ts';
import {
  authorityFile,
  certificateFile,
  milliseconds,
  type PolicyView,
  policyNames,
  policyView,
} from './policy-view.ts';
import { type VersionsView, versionNames, versionsView } from './versions-view.ts';

/** The view of `backend.mustache`. The server lines replace `{{{servers}}}`. */
export type BackendView = PolicyView & {
  readonly name: string;
  /** The section that `policy.mustache` made for its policy. */
  readonly policy: string;
  /** Undefined where no request asks for a version. */
  readonly versions: VersionsView | undefined;
};

/** The view of `server.mustache`. */
export type ServerView = {
  readonly service: string;
  readonly id: string;
  readonly address: string;
  /** 0 while the instance drains, so that it takes no new requests. Of a hashed service with many instances it is divided. */
  readonly weight: number;
  readonly maintenance: boolean;
  /** Always false: pointsman resolves host names, so that `address` has an IP address. Own templates may still ask. */
  readonly hostName: false;
  /**
   * The server's number in HAProxy, made of its name: the same on every balancer and after each reload, so that a hash
   * leads a request to the same server everywhere. It is on every server, because HAProxy looks for a free one by trying
   * them all: of 10,000 servers in a backend, the check takes 1.4 s without and 0.05 s with it (2.6.12). Undefined for the
   * second of two instances whose numbers are equal.
   */
  readonly hashId: number | undefined;
  readonly check:
    | {
        readonly interval: string;
        readonly rise: number;
        readonly fall: number;
        readonly port: number | undefined;
        /**
         * The check uses TLS, or sends the PROXY protocol, as requests do. HAProxy does so by itself for the servers of a file
         * only, not for those that are added at run time.
         */
        readonly checkTls: boolean;
        readonly checkProxy: boolean;
      }
    | undefined;
  /** HAProxy takes a server down that makes so many errors in a row; `layer` is that of the errors it sees. */
  readonly ejection: { readonly layer: 'layer4' | 'layer7'; readonly errors: number } | undefined;
  readonly slowStart: string | undefined;
  readonly maxconn: number | undefined;
  readonly maxqueue: number | undefined;
  /** It speaks HTTP/2 without TLS. */
  readonly h2: boolean;
  /** An HTTP check speaks HTTP/2 as well. */
  readonly h2Check: boolean;
  readonly tls:
    | {
        readonly ca: string | undefined;
        readonly certificate: string | undefined;
        readonly name: string | undefined;
        readonly alpn: string | undefined;
      }
    | undefined;
  readonly proxyProtocol: 'send-proxy' | 'send-proxy-v2' | undefined;
  /** It gets requests only while no other server is up. */
  readonly backup: boolean;
  readonly version: string | undefined;
  readonly zone: string | undefined;
  readonly meta: Readonly<Record<string, string>>;
};

/** The names a template may use; anything else in one is a mistake that Mustache would render as nothing. */
export const knownNames = {
  frame: [
    'bind',
    'runtimeSocket',
    'routesMap',
    'serverStates',
    'successorSocket',
    'hardStopAfter',
    'maintenancePage',
    ...['defaultErrorPages', 'status', 'page', 'notFoundPage'],
    'pauseScript',
    'matchScript',
    ...['forwardAuthScript', 'forwardAuthSocket'],
    'metricsBind',
    ...['authKeyFiles', 'file'],
    'accessLog',
    ...['normalizePaths', 'trustedProxies', 'networks', 'trusting', 'hops', 'to', 'past'],
    ...['proxySenders', 'expectingProxy'],
    ...['https', 'httpsBind', 'certificateList', 'clientCertificateList', 'sharesPort', 'http3', 'quicBind', 'port'],
    'acme',
    'leaving',
    ...['listeners', 'sharedListeners', 'besideHttps'],
    'name',
    'clientTimeout',
    'backends',
  ],
  policy: ['policy', 'peersSocket', 'ratesMap', 'routesMap', ...policyNames],
  backend: ['policy', ...policyNames, ...versionNames, 'servers'],
  server: [
    ...['service', 'id', 'address', 'weight', 'maintenance', 'hostName', 'hashId'],
    ...[
      'check',
      'interval',
      'rise',
      'fall',
      'port',
      'checkTls',
      'checkProxy',
      ...['ejection', 'layer', 'errors'],
      'slowStart',
      'maxconn',
      'maxqueue',
      'h2',
      'h2Check',
    ],
    ...['tls', 'ca', 'certificate', 'name', 'alpn', 'proxyProtocol', 'backup', 'version', 'zone', 'meta'],
  ],
} as const satisfies Record<string, readonly string[]>;

export function backendView(service: Service, policy: string, settings: BaseSettings): BackendView {
  const versions = versionsView(service.policy, settings.routesMap);
  return { name: service.name, policy, versions, ...policyView(service.policy, settings) };
}

export function serverView(
  instance: Instance,
  { policy, numbers, instances }: Service,
  settings: BaseSettings,
): ServerView {
  const { check, ejection, protocol, tls, proxyProtocol } = policy;
  const draining = instance.state === 'draining';
  const h2 = protocol === 'h2';
  const divisor = divisorOfWeights(policy.balance, instances.size);
  return {
    service: instance.service,
    id: instance.id,
    address: formatAddress(instance.address),
    weight: draining ? 0 : dividedWeight(instance.weight, divisor),
    // A client's cookie leads it to a server whatever its weight; one in maintenance gives it up.
    maintenance: instance.state === 'maintenance' || (draining && policy.sticky?.to === 'server'),
    hostName: false,
    hashId: numberOf(numbers, instance.id),
    check: check.kind === 'none' ? undefined : checkView(check, policy),
    ejection: ejection && { layer: policy.mode === 'tcp' ? 'layer4' : 'layer7', errors: ejection.errors },
    slowStart: milliseconds(policy.slowStartMs),
    maxconn: policy.maxconn,
    maxqueue: policy.maxqueue,
    h2: h2 && tls === undefined,
    h2Check: h2 && check.kind === 'http' && check.port === undefined,
    tls: tls && {
      ca: authorityFile(tls, settings.pemFolder),
      certificate: certificateFile(tls, settings.pemFolder),
      // Without verification there is no name that would be right for all.
      name: tls.name ?? (tls.authority && instance.service.toLowerCase()),
      alpn: h2 ? 'h2' : undefined,
    },
    proxyProtocol: proxyProtocol && proxyKeywords[proxyProtocol],
    backup: instance.role === 'backup' || isFar(instance, policy, settings),
    version: instance.version,
    zone: instance.zone,
    meta: instance.meta,
  };
}

/** Whether its service prefers the servers of a zone that it is not in. A balancer without a zone has no far ones. */
function isFar({ zone }: Instance, { preferZone }: Policy, settings: BaseSettings): boolean {
  return preferZone && settings.zone !== undefined && zone !== settings.zone;
}

const proxyKeywords = { v1: 'send-proxy', v2: 'send-proxy-v2' } as const;

function checkView(
  { intervalMs, rise, fall, port }: Exclude<ServerCheck, { kind: 'none' }>,
  { tls, proxyProtocol }: Policy,
): ServerView['check'] {
  const samePort = port === undefined;
  const how = { checkTls: samePort && tls !== undefined, checkProxy: samePort && proxyProtocol !== undefined };
  return { interval: milliseconds(intervalMs), rise, fall, port, ...how };
}
