import { isIP, isIPv4 } from 'node:net';

/** The settings of `/etc/resolv.conf` without the nameservers, which c-ares reads itself. */
export type SearchRules = { readonly domains: readonly string[]; readonly dots: number };

const mostDomains = 6;
const hostName = /^[A-Za-z0-9._-]{1,253}$/;

export function parseHosts(text: string): ReadonlyMap<string, readonly string[]> {
  const hosts = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (isIP(address) === 0) continue;
    for (const name of names) {
      const known = hosts.get(name.toLowerCase());
      if (known === undefined) hosts.set(name.toLowerCase(), [address]);
      else known.push(address);
    }
  }
  return hosts;
}

/** The IPv4 addresses if there are any, as with DNS. */
export function preferIpv4(addresses: readonly string[]): readonly string[] {
  const ipv4 = addresses.filter(isIPv4);
  return ipv4.length > 0 ? ipv4 : addresses;
}

/** `search`, `domain` and `ndots` of a resolv.conf. The last of them counts (resolv.conf(5)). */
export function parseSearchRules(text: string): SearchRules {
  let domains: readonly string[] = [];
  let dots = 1;
  for (const line of text.split('\n')) {
    const [word, ...rest] = line.trim().split(/\s+/);
    if (word === 'search' || word === 'domain')
      domains = rest.filter((one) => hostName.test(one)).slice(0, mostDomains);
    if (word !== 'options') continue;
    const found = rest.map((option) => /^ndots:(\d{1,2})$/.exec(option)?.[1]).find((digits) => digits !== undefined);
    if (found !== undefined) dots = Math.min(Number(found), 15);
  }
  return { domains, dots };
}

/** The names to look up, one after the other until one exists, as the C library does (resolv.conf(5), `ndots`). */
export function candidatesOf(name: string, { domains, dots }: SearchRules): readonly string[] {
  const searched = domains.map((domain) => `${name}.${domain.replace(/\.$/, '')}`).filter((one) => one.length <= 253);
  return name.split('.').length - 1 >= dots ? [name, ...searched] : [...searched, name];
}
