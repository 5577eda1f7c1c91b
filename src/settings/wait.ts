import type { Address } from '../model/address.ts';
import { Fault } from '../model/fault.ts';
import { accepted, quote, rejected } from '../model/parsed.ts';
import { type Revision, revision } from '../model/revision.ts';
import { parseHostPattern, rankOf } from '../model/route.ts';
import { declareCommand } from './command.ts';
import { logOptions } from './log.ts';
import { defaulted, onOff, optional } from './option.ts';
import { registryAndLog, registryOptions } from './registry.ts';
import { localAdmin } from './see.ts';
import { durationWord, word } from './words.ts';

/** The goal of `pointsman wait`. */
type WaitSettings = {
  readonly goal: 'serves' | 'gone';
  readonly revision: Revision | undefined;
  /** The host whose certificate is waited for, instead of a service. */
  readonly certificate: string | undefined;
  readonly timeoutMs: number;
  /** Where a balancer of this machine may answer, for the hosts that ask for certificates. */
  readonly admin: Address;
  /** For a program instead of a person. */
  readonly json: boolean;
};

export const waitCommand = declareCommand({
  name: 'wait',
  summary: 'wait until every live balancer serves a service, an instance or a certificate',
  operands: { syntax: '[service[/instance]]', description: 'the service or the instance to wait for' },
  options: {
    certificate: optional(
      'HOST',
      word((text) => {
        const parsed = parseHostPattern(text);
        return parsed.ok && rankOf(text) < 2 ? accepted<string>(text) : rejected(`${quote(text)} is not a host`);
      }),
      'wait for the certificate of this host in the registry instead',
      { flagOnly: true },
    ),
    gone: onOff('wait until no balancer sends it requests'),
    timeout: defaulted(
      'DURATION',
      durationWord(0, 86_400_000),
      '30s',
      'how long to wait; then it ends with 1 and names the missing balancers',
      { flagOnly: true },
    ),
    revision: optional(
      'NUMBER',
      word((text) =>
        /^[0-9]{1,18}$/.test(text) ? accepted(revision(text)) : rejected(`${quote(text)} is not a revision`),
      ),
      'wait for at least this revision of the registry (default: the newest one)',
      { flagOnly: true },
    ),
    admin: localAdmin,
    json: onOff('print the result as one JSON object'),
    ...registryOptions,
    ...logOptions,
  },
  assemble: (values) => {
    const { gone, revision: least, timeout: timeoutMs, json, certificate, admin } = values;
    const stray = gone ? '--gone' : least === undefined ? undefined : '--revision';
    if (certificate !== undefined && stray !== undefined) {
      throw new Fault('settings', 'it has no effect with --certificate', { where: stray, hint: 'leave it out' });
    }
    const wait: WaitSettings = { goal: gone ? 'gone' : 'serves', revision: least, timeoutMs, json, certificate, admin };
    return { ...registryAndLog(values), wait };
  },
});
