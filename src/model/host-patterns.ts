import type { ServiceName } from './name.ts';

export const isExact = (host: string): boolean => rankOf(host) === 0;

/** How exact a host pattern is: the base configuration asks for those of rank 0 first. */
export function rankOf(host: string): number {
  if (host === '*') return 3;
  return host.endsWith('.*') ? 2 : host.startsWith('*.') ? 1 : 0;
}

/** The patterns `*.<domain>` and `<first label>.*` that match this host. */
export function aroundHost(host: string): [domain: string | undefined, label: string] {
  const dot = host.indexOf('.');
  return dot === -1 ? [undefined, `${host}.*`] : [`*${host.slice(dot)}`, `${host.slice(0, dot)}.*`];
}

/** The host patterns that match whatever this one matches, the most exact first, as the base configuration asks for them. */
export function patternsOver(host: string): readonly string[] {
  if (host === '*') return [host];
  const around = isExact(host) ? aroundHost(host).filter((pattern) => pattern !== undefined) : [];
  return [host, ...around, '*'];
}

/** The host patterns that a service has by its name. */
export function ownHosts(service: ServiceName): readonly string[] {
  const name = service.toLowerCase();
  return [name, `${name}.*`];
}
