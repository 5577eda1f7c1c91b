import { lookup, Resolver } from 'node:dns/promises';
import { isIP, isIPv6 } from 'node:net';
import { performance } from 'node:perf_hooks';
import { describe, errorCode } from '../../model/fault.ts';

/** A member of the cluster: `host:port` with an IP address, and the name that its certificate has to have. */
export type Member = {
  readonly address: string;
  /** Undefined: the address itself. */
  readonly serverName: string | undefined;
  /** Whether it is to be asked before those that are not: a host may have addresses that this machine does not reach. */
  readonly preferred: boolean;
};

/** Finds the members once. Rejects with an Error that says why there are none. */
export type FindMembers = () => Promise<readonly Member[]>;

/** Members that are never looked up. */
export const givenMembers = (addresses: readonly string[]): readonly Member[] =>
  addresses.map((address) => ({ address, serverName: undefined, preferred: true }));

export type MemberSourceOptions = {
  readonly find: FindMembers;
  /** Monotonic, in ms. */
  readonly now?: () => number;
};

// In ms. A reconnection asks for the members, and reconnections come in bursts.
const staleMs = 1000;
// Less than any wait for the registry. A lookup of the C library cannot be cancelled, and goes on.
const findMs = 2500;

/**
 * The members as they are found now. Returns the last result at once, and looks again meanwhile when that is older than a
 * second: an unavailable nameserver delays nothing once the members are known, and members that moved are found by the
 * reconnections that their move causes. One search at a time, because each may occupy a thread for long.
 */
export class MemberSource {
  readonly #find: FindMembers;
  readonly #now: () => number;
  #known: readonly Member[] | undefined;
  #foundAt = Number.NEGATIVE_INFINITY;
  #finding: Promise<readonly Member[]> | undefined;
  #trouble: string | undefined;

  constructor({ find, now = () => performance.now() }: MemberSourceOptions) {
    this.#find = find;
    this.#now = now;
  }

  /** Rejects with an Error when nothing was ever found and nothing is found in time. */
  async members(): Promise<readonly Member[]> {
    if (this.#known === undefined) return inTime(this.#search());
    if (this.#now() - this.#foundAt >= staleMs) this.#search().catch(() => undefined);
    return this.#known;
  }

  /** The reason with which a member failed, and why the members could not be looked for again, if they could not. */
  explain(reason: string): string {
    return this.#trouble === undefined || reason === this.#trouble ? reason : `${reason}; ${this.#trouble}`;
  }

  #search(): Promise<readonly Member[]> {
    this.#finding ??= this.#find()
      .then(
        (found) => {
          this.#known = found;
          this.#foundAt = this.#now();
          this.#trouble = undefined;
          return found;
        },
        (error: unknown) => {
          this.#trouble = describe(error);
          throw error;
        },
      )
      .finally(() => {
        this.#finding = undefined;
      });
    return this.#finding;
  }
}

function inTime<T>(search: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no nameserver answered in ${findMs / 1000} s`)), findMs);
    search.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** For c-ares: one try at one nameserver, in ms. The second try, or the second nameserver, is then within MemberSource's time. */
const srvTry = { timeout: 1000, tries: 2 };

/**
 * Finds the members behind `host:port` each. A name may have several addresses, all of which are members; the certificate has
 * to be for the name. Names that have no address do no harm while others have.
 */
export function membersOf(endpoints: readonly string[]): FindMembers {
  return () => oneOrMore(endpoints.map((endpoint) => addressesOf(endpoint, undefined)));
}

/**
 * Finds the members that the SRV records of a domain name, as etcd's own clients do (etcd client/pkg/srv/srv.go, GetClient).
 * The certificate has to be for the domain, as for `etcdctl --discovery-srv` (etcd etcdctl/ctlv3/ctl.go): an attacker who
 * forges an SRV record could name a host of their own. `place` is the domain, or a whole record, `_etcdv3._tcp.example.org`.
 */
export function membersByRecord(place: string, tls: boolean): FindMembers {
  const domain = place.replace(/^_[^.]+\._tcp\./, '');
  const record = place === domain ? `${tls ? '_etcd-client-ssl' : '_etcd-client'}._tcp.${domain}` : place;
  return async () => {
    // A new one each time, because it reads /etc/resolv.conf when it is made.
    const resolver = new Resolver(srvTry);
    const records = await resolver.resolveSrv(record).catch((error: unknown) => {
      throw new Error(srvReason(record, resolver.getServers(), error));
    });
    // "." is how a domain says that it has no such service (RFC 2782).
    const there = records.filter(({ name }) => name !== '' && name !== '.');
    if (there.length === 0) throw new Error(`DNS has no SRV record ${record}`);
    return oneOrMore(there.map(({ name, port }) => addressesOf(`${name}:${port}`, domain)));
  };
}

async function addressesOf(endpoint: string, serverName: string | undefined): Promise<readonly Member[]> {
  const colon = endpoint.lastIndexOf(':');
  const [host, port] = [endpoint.slice(0, colon), endpoint.slice(colon + 1)];
  if (isIP(host.replace(/^\[(.*)\]$/, '$1')) !== 0) return [{ address: endpoint, serverName, preferred: true }];
  const found = await lookup(host, { all: true, verbatim: true }).catch((error: unknown) => {
    throw new Error(nameReason(host, error));
  });
  // The order is that of RFC 6724: an address that this machine does not reach comes last. ::1 is reachable only from its own
  // machine.
  const [first] = found;
  const ipv6First = first !== undefined && first.family === 6 && first.address !== '::1';
  const families = new Set(found.map(({ family }) => family));
  const addresses = new Set(found.map(({ address }) => address));
  return [...addresses].map((address) => ({
    address: isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`,
    serverName: serverName ?? host,
    preferred: families.size === 1 || isIPv6(address) === ipv6First,
  }));
}

/** All that are found; rejects with the first failure when none is. */
async function oneOrMore(searches: readonly Promise<readonly Member[]>[]): Promise<readonly Member[]> {
  const results = await Promise.allSettled(searches);
  const members = results.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
  const failed = results.find((one) => one.status === 'rejected');
  if (members.length === 0) throw failed?.reason ?? new Error('no etcd member is known');
  return [...new Map(members.map((member) => [member.address, member])).values()];
}

function nameReason(host: string, error: unknown): string {
  switch (errorCode(error)) {
    case 'ENOTFOUND':
      return `the name ${host} has no address in DNS`;
    case 'EAI_AGAIN':
      return `no nameserver answers for the name ${host}: check /etc/resolv.conf`;
    default:
      return `the name ${host} cannot be resolved: ${describe(error)}`;
  }
}

function srvReason(record: string, servers: readonly string[], error: unknown): string {
  switch (errorCode(error)) {
    case 'ENOTFOUND':
    case 'ENODATA':
      return `DNS has no SRV record ${record}`;
    case 'ECONNREFUSED':
    case 'ETIMEOUT':
    case 'ETIME':
      return `no nameserver answers for the SRV record ${record}: asked ${servers.join(', ') || 'none'} (/etc/resolv.conf)`;
    default:
      return `the SRV record ${record} cannot be resolved: ${describe(error)}`;
  }
}
