import * as v from 'valibot';
import type { Acknowledgement } from '../fleet/acknowledgement.ts';
import { balancersOf } from '../fleet/fleet-view.ts';
import { type Address, formatAddress, isLoopback, parseAddress } from '../model/address.ts';
import { describe } from '../model/fault.ts';
import type { Parsed } from '../model/parsed.ts';
import { formatDuration } from '../model/quantity.ts';
import type { Entry } from '../registry/registry.ts';
import { timeLimit } from '../waiting/time-limit.ts';
import { whileWaiting } from './spinner.ts';

/** A balancer of the fleet, and where it can be asked. */
export type KnownBalancer = {
  readonly id: string;
  /** Its acknowledgement; undefined: it is not in the registry. */
  readonly says: Parsed<Acknowledgement> | undefined;
  /** Where its admin port answers; or why it does not. */
  readonly admin: { readonly at: string } | { readonly reason: string };
};

/** The tree that is looked at; undefined is what is not known, and then not compared. */
export type BalancersTree = { readonly cluster: string | undefined; readonly root: string | undefined };

type FoundBalancers = {
  readonly balancers: readonly KnownBalancer[];
  /** A line about a balancer on this machine's admin port that follows another tree. */
  readonly stranger: string | undefined;
  /** Admin ports that should answer here and do not, a line each. */
  readonly unanswered: readonly string[];
};

const askMs = 2000;
const identity = v.object({
  id: v.string(),
  // An older balancer does not have this field.
  registry: v.optional(
    v.object({ cluster: v.optional(v.string()), root: v.optional(v.string()), location: v.optional(v.string()) }),
    {},
  ),
});
type Identity = v.InferOutput<typeof identity>;

/** What a balancer is asked, other than by a path alone. */
type Question = {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly deadlineMs: number;
};

export type AdminAnswer = { readonly status: number; readonly text: string; readonly retryAfter: string | null };

/** Asks a balancer's admin port. Rejects when it does not answer in time, or not with 200. */
export async function askAdmin(at: string, path: string): Promise<unknown> {
  const { status, text } = await request(at, path);
  if (status !== 200) throw new Error(`it answered ${status}: ${text.trim().slice(0, 200)}`);
  return JSON.parse(text);
}

/** Posts to a balancer's admin port. Rejects when there is no answer in time; any status is an answer. */
export const postAdmin = (at: string, path: string, question: Question): Promise<AdminAnswer> =>
  request(at, path, question);

async function request(at: string, path: string, question?: Question): Promise<AdminAnswer> {
  const { deadlineMs = askMs, ...content } = question ?? {};
  const posting = question === undefined ? {} : { method: 'POST', ...content };
  try {
    const answer = await fetch(`http://${at}${path}`, { ...posting, signal: timeLimit(deadlineMs) });
    return { status: answer.status, text: await answer.text(), retryAfter: answer.headers.get('retry-after') };
  } catch (error) {
    if (isTimeout(error)) throw new Error(`no answer within ${formatDuration(deadlineMs)}`, { cause: error });
    // fetch itself says no more than that it failed.
    if (error instanceof TypeError && error.cause !== undefined) {
      throw new Error(describe(error.cause), { cause: error.cause });
    }
    throw error;
  }
}

const isTimeout = (error: unknown): boolean => error instanceof Error && error.name === 'TimeoutError';

/** Whether somebody listens there and says nothing. */
const isSilent = (error: unknown): boolean => error instanceof Error && isTimeout(error.cause);

/**
 * The balancers of a tree: those that the registry knows, and one on this machine. Each is asked who it is and which tree it
 * follows, because an address may be another's by now. `entries` are those under `balancers/`.
 */
export function findBalancers(entries: readonly Entry[], local: Address, tree: BalancersTree): Promise<FoundBalancers> {
  return whileWaiting('asking each balancer who it is', () => lookForBalancers(entries, local, tree));
}

/** The same without a word for a person. */
export async function lookForBalancers(
  entries: readonly Entry[],
  local: Address,
  tree: BalancersTree,
): Promise<FoundBalancers> {
  const balancers = balancersOf(entries);
  const here = formatAddress(local);
  const unanswered: string[] = [];
  // Most machines have no balancer, so a refused connection is normal; a balancer that hangs is not.
  const answering = await whoIs(here).catch((error: unknown) => {
    if (isSilent(error))
      unanswered.push(`the admin port of this machine, ${here}, does not answer: ${describe(error)}`);
    return undefined;
  });
  const ours = answering !== undefined && isOf(tree, answering) ? answering.id : undefined;
  const known = await Promise.all(
    [...balancers].map(async ([id, says]): Promise<KnownBalancer> => {
      if (id === ours) return { id, says, admin: { at: here } };
      const at = says.ok ? says.value.admin : undefined;
      if (at === undefined) {
        const reason = `its admin port listens on its own machine only, and this balancer does not answer at ${here}`;
        return { id, says, admin: { reason } };
      }
      try {
        const answers = await whoIs(at);
        if (answers.id !== id || !isOf(tree, answers)) {
          return { id, says, admin: { reason: `${nameOf(answers)} answers at ${at} instead of it` } };
        }
        return { id, says, admin: { at } };
      } catch (error) {
        // A loopback address refuses the connection if the balancer is on another machine.
        const own = parseAddress(at);
        const expected = own.ok && isLoopback(own.value) && !isSilent(error);
        if (!expected) unanswered.push(`${id}: its admin port ${at} does not answer: ${describe(error)}`);
        return { id, says, admin: { reason: `${at} does not answer: ${describe(error)}` } };
      }
    }),
  );
  const unheard: readonly KnownBalancer[] =
    ours === undefined || balancers.has(ours) ? [] : [{ id: ours, says: undefined, admin: { at: here } }];
  return {
    balancers: [...known, ...unheard].sort((a, b) => (a.id < b.id ? -1 : 1)),
    unanswered: unanswered.sort(),
    stranger:
      answering === undefined || ours !== undefined
        ? undefined
        : `${nameOf(answering)} answers at ${here}, but it follows another registry or root: name a balancer of this registry with --admin`,
  };
}

const isOf = (tree: BalancersTree, { registry: { cluster, root } }: Identity): boolean =>
  same(tree.cluster, cluster) && same(tree.root, root);

const same = (one: string | undefined, other: string | undefined): boolean =>
  one === undefined || other === undefined || one === other;

/** `edge-1 of etcd://127.0.0.1:2379/other/`. */
const nameOf = ({ id, registry: { location } }: Identity): string =>
  location === undefined ? id : `${id} of ${location}`;

async function whoIs(at: string): Promise<Identity> {
  return v.parse(identity, await askAdmin(at, '/status'));
}
