import { setTimeout as pause } from 'node:timers/promises';
import * as v from 'valibot';
import { planPath } from '../admin/plan.ts';
import { signatureOf } from '../admin/token.ts';
import type { EntryChange } from '../balance/preview/plan-answer.ts';
import { describe } from '../model/fault.ts';
import { type KnownBalancer, postAdmin } from './balancers.ts';
import type { UnaskedBalancer } from './unasked.ts';

const listed = v.object({ count: v.number(), first: v.array(v.string()) });
const answer = v.object({
  haproxy: v.optional(v.string()),
  revision: v.string(),
  commands: listed,
  reload: listed,
  routes: listed,
  conflicts: listed,
  unserved: v.array(v.object({ key: v.string(), reason: v.string(), lastGoodServes: v.boolean() })),
  moreUnserved: v.number(),
  held: listed,
  services: v.number(),
  instances: v.number(),
  pending: v.array(v.string()),
  validation: v.variant('kind', [
    v.object({ kind: v.literal('accepted') }),
    v.object({ kind: v.literal('refused'), reason: v.string(), keys: v.array(v.string()) }),
    v.object({ kind: v.literal('skipped'), reason: v.string() }),
  ]),
});

/** What a balancer's HAProxy would do, as the balancer answered. */
type ReadPlan = v.InferOutput<typeof answer>;

/** Balancers whose HAProxy would do the same. */
export type PlanGroup = {
  readonly balancers: readonly { readonly id: string; readonly haproxy: string | undefined }[];
  readonly plan: Omit<ReadPlan, 'haproxy' | 'revision'>;
};

export type AskedPlans = { readonly groups: readonly PlanGroup[]; readonly notAsked: readonly UnaskedBalancer[] };

type Answered = { readonly id: string; readonly plan: ReadPlan };

/** How long a balancer may take, with the time until it may be asked again. */
const planMs = 20_000;

/** Asks all balancers at once what their HAProxy would do. `token`: signs the questions to balancers of other machines. */
export async function askPlans(
  balancers: readonly KnownBalancer[],
  changes: readonly EntryChange[],
  token: string | undefined,
): Promise<AskedPlans> {
  const sent = changes.map(({ key, value = null }) => ({ key, value }));
  const body = JSON.stringify({ changes: sent, validate: true });
  const authorization = token === undefined ? {} : { authorization: signatureOf(body, token) };
  const headers = { 'content-type': 'application/json', ...authorization };
  const answers = await Promise.all(
    balancers.map(async ({ id, admin }): Promise<Answered | UnaskedBalancer> => {
      if ('reason' in admin) return { id, reason: admin.reason };
      try {
        return await askPlan(id, admin.at, { body, headers });
      } catch (error) {
        return { id, reason: `${admin.at}: ${describe(error)}` };
      }
    }),
  );
  return {
    groups: grouped(answers.filter((one) => 'plan' in one)),
    notAsked: answers.filter((one) => 'reason' in one),
  };
}

type Sent = { readonly body: string; readonly headers: Readonly<Record<string, string>> };

async function askPlan(id: string, at: string, sent: Sent): Promise<Answered | UnaskedBalancer> {
  const end = performance.now() + planMs;
  for (;;) {
    const deadlineMs = Math.max(1, Math.ceil(end - performance.now()));
    const { status, text, retryAfter } = await postAdmin(at, planPath, { ...sent, deadlineMs });
    if (status === 200) return { id, plan: v.parse(answer, JSON.parse(text)) };
    const againMs = 1000 * Number(retryAfter ?? Number.NaN);
    if (status !== 503 || Number.isNaN(againMs) || performance.now() + againMs > end) {
      const reason = status === 404 || status === 405 ? 'it is older than pointsman diff: upgrade it' : text.trim();
      return { id, reason: reason.slice(0, 300) };
    }
    await pause(againMs);
  }
}

function grouped(answers: readonly Answered[]): readonly PlanGroup[] {
  const groups = new Map<string, PlanGroup>();
  for (const { id, plan } of answers) {
    const { haproxy, revision: _, ...rest } = plan;
    const same = JSON.stringify(rest);
    const balancers = [...(groups.get(same)?.balancers ?? []), { id, haproxy }];
    groups.set(same, { balancers, plan: rest });
  }
  return [...groups.values()];
}
