import { formatAddress, parseAddress } from './address.ts';
import { accepted, type Parsed, quote, rejected } from './parsed.ts';

/** Where the API of a container engine is. */
export type EngineAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** Docker's. */
export const defaultEngine: EngineAddress = { kind: 'unix', path: '/var/run/docker.sock' };

/** Reads `unix:///var/run/docker.sock`, the path alone, or `tcp://HOST:PORT`. */
export function parseEngineAddress(text: string): Parsed<EngineAddress> {
  if (text.startsWith('tcp://')) {
    const address = parseAddress(text.slice('tcp://'.length));
    return address.ok ? accepted({ kind: 'tcp', host: address.value.host, port: address.value.port }) : address;
  }
  const path = text.startsWith('unix://') ? text.slice('unix://'.length) : text;
  return path.startsWith('/') && !path.includes('\0')
    ? accepted({ kind: 'unix', path })
    : rejected(`${quote(text)} is not the address of an engine: use unix:///PATH or tcp://HOST:PORT`);
}

/** As the user writes it. */
export const formatEngineAddress = (address: EngineAddress): string =>
  address.kind === 'unix'
    ? `unix://${address.path}`
    : `tcp://${formatAddress({ ...address, family: address.host.includes(':') ? 'ipv6' : 'name' })}`;
