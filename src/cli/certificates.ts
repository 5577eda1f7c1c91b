import { renewalKey } from '../model/acme/keys.ts';
import { Fault } from '../model/fault.ts';
import { didYouMean } from '../model/nearest.ts';
import { formatDuration } from '../model/quantity.ts';
import type { ListedCertificate } from '../operate/certificate-list.ts';
import { describeCertificateState } from '../operate/describe-certificate.ts';
import { certificatesCommand } from '../settings/certificates.ts';
import { rootOf } from '../settings/registry.ts';
import { findBalancers } from './balancers.ts';
import { type Certificates, readAllCertificates } from './certificates-read.ts';
import { done } from './exit-code.ts';
import { formatTable } from './format-table.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { formatOf, print, printJson, type TextFormat, warn } from './outputs.ts';

/** `pointsman certificates`, `pointsman certificates --renew HOST`. */
export async function run(invocation: Invocation): Promise<number> {
  const { json, renew, admin, ...settings } = await readInvocation(certificatesCommand, invocation);
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  try {
    const root = rootOf(settings.registry);
    const certificates = await readAllCertificates(registry, { admin, root, findBalancers });
    if (renew === undefined) {
      if (json) printJson(certificates);
      else print(formatCertificates(certificates, Date.now(), formatOf(process.stdout)));
      return done;
    }
    requireKnown(renew, certificates);
    const by = `${invocation.env['USER'] ?? 'unknown'}@${invocation.machine.hostname}`;
    const wish = JSON.stringify({ by, at: new Date().toISOString() });
    const revision = await registry.write(renewalKey(renew), wish);
    if (json) printJson({ host: renew, revision: String(revision), hasLeader: certificates.hasLeader });
    else
      print(
        `${renew}: a new certificate is ordered (revision ${revision}); pointsman certificates shows how far it is\n`,
      );
    if (!certificates.hasLeader)
      warn('no balancer orders certificates now: the order begins when one with --acme runs');
    return done;
  } finally {
    await registry.close();
  }
}

/** Rejects with Fault `not-found` or `usage` where nobody would order a certificate. */
function requireKnown(host: string, { list }: Certificates): void {
  const known = list.find((one) => one.host === host);
  const hint = didYouMean(host, new Set(list.map((one) => one.host)));
  if (known === undefined) {
    throw new Fault('not-found', `${host} neither has a certificate nor asks for one`, {
      hint: hint ?? 'pointsman certificates shows the hosts that do',
    });
  }
  if (known.source === 'folder') {
    throw new Fault('usage', `the certificate of ${host} is in the folder --certificates: renew it there`);
  }
  if (known.state.kind === 'not-ordered') throw new Fault('usage', `${host} is ${describeCertificateState(known)}`);
}

function formatCertificates({ list, hasLeader, unasked }: Certificates, now: number, format: TextFormat): string {
  const { colors, width } = format;
  const notes = [
    ...(unasked === undefined ? [] : [`hosts without a certificate are not known: ${unasked}`]),
    ...(unasked === undefined && !hasLeader ? ['no balancer orders certificates now (there is no acme/leader)'] : []),
  ].map((note) => `${colors.yellow('note')}: ${note}\n`);
  if (list.length === 0) return ['no certificates, and no host that asks for one\n', ...notes].join('');
  const paintOf = {
    ...{ valid: colors.green, expired: colors.red, failing: colors.red, unreadable: colors.red, refused: colors.red },
    ...{ ordering: colors.yellow, waiting: colors.yellow, 'not-ordered': colors.yellow },
  };
  const rows = list.map((one) => [
    one.host,
    one.service ?? '-',
    sourceOf(one),
    one.validUntil === undefined ? '-' : `${dayOf(one.validUntil)} (${leftOf(one.validUntil, now)})`,
    nextOf(one, now),
    describeCertificateState(one),
  ]);
  const paint = (cell: string, row: number, column: number) => {
    const state = list[row]?.state;
    if (state === undefined) return colors.dim(cell);
    return column === 5 ? paintOf[state.kind](cell) : cell;
  };
  const heading = ['HOST', 'SERVICE', 'SOURCE', 'VALID UNTIL', 'NEXT TRY', 'STATE'];
  return formatTable(heading, rows, { paint, width }) + notes.join('');
}

function sourceOf({ source, authority }: ListedCertificate): string {
  if (source === undefined) return '-';
  return source === 'acme' && authority !== undefined && URL.canParse(authority) ? new URL(authority).hostname : source;
}

/** When the leader does something for the host next. */
function nextOf({ state, nextTry, renewAt }: ListedCertificate, now: number): string {
  if (state.kind === 'ordering') return 'now';
  const next =
    state.kind === 'failing' ? nextTry : state.kind === 'valid' || state.kind === 'refused' ? renewAt : undefined;
  if (next === undefined) return state.kind === 'waiting' || state.kind === 'failing' ? 'now' : '-';
  const left = Date.parse(next) - now;
  return left <= 0 ? 'now' : `in ${formatDuration(left)}`;
}

const dayOf = (time: string): string => time.slice(0, 10);

function leftOf(time: string, now: number): string {
  const left = Date.parse(time) - now;
  return left <= 0 ? `ended ${formatDuration(-left)} ago` : formatDuration(left);
}
