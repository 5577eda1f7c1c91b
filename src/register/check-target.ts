import { type Address, formatAddress, parseHost } from '../model/address.ts';
import type { AddressSource } from '../model/address-source.ts';
import { Fault } from '../model/fault.ts';
import type { HealthCheck } from '../model/health-check.ts';

type Place = { readonly host: string; readonly port: number };

/** A check with nothing left out. */
export type CheckTarget =
  | (Place & { readonly kind: 'tcp' })
  | (Place & { readonly kind: 'http'; readonly tls: 'none' | 'verified' | 'unverified'; readonly path: string })
  | { readonly kind: 'command'; readonly line: string };

/**
 * Fills in what a check leaves out, from the announced address. An address from the environment is a published one, and
 * the application listens elsewhere: there the host is this one, and the port must be named.
 */
export function resolveCheck(
  check: HealthCheck,
  source: AddressSource,
  announced: Address,
): CheckTarget | undefined | Fault {
  switch (check.kind) {
    case 'none':
      return undefined;
    case 'command':
      return check;
    case 'tcp':
    case 'http': {
      const published = source.kind === 'environment';
      const port = check.port ?? (published ? undefined : announced.port);
      if (port === undefined) {
        const hint = `name it, as in ${check.kind}://:8080`;
        return new Fault('settings', 'the published port can differ from the port that the application listens on', {
          where: '--check',
          hint,
        });
      }
      return { ...check, host: check.host ?? (published ? '127.0.0.1' : announced.host), port };
    }
  }
}

/** For people: `http://10.0.0.7:8080/health`. */
export function formatTarget(target: CheckTarget): string {
  switch (target.kind) {
    case 'tcp':
      return `tcp://${formatPlace(target)}`;
    case 'http': {
      const scheme = { none: 'http', verified: 'https', unverified: 'https+insecure' }[target.tls];
      return `${scheme}://${formatPlace(target)}${target.path}`;
    }
    case 'command':
      return `cmd:${target.line}`;
  }
}

function formatPlace({ host, port }: Place): string {
  const parsed = parseHost(host);
  return formatAddress({ host, port, family: parsed.ok ? parsed.value.family : 'name' });
}
