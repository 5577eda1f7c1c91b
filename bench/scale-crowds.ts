import { fork } from 'node:child_process';
import type { Answer, Request } from './scale-crowd.ts';

export const followersInAProcess = 50;
const answerMs = 120_000;

/** A process of bench/scale-crowd.ts. Requests are answered one after the other. */
export function startCrowd() {
  const child = fork(process.argv[1] ?? '', ['crowd']);
  return {
    ask: (request: Request): Promise<Answer> =>
      new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`no answer to ${request.kind} in ${answerMs} ms`)), answerMs);
        child.once('message', (answer: Answer) => {
          clearTimeout(late);
          resolve(answer);
        });
        child.send(request);
      }),
    async end(): Promise<void> {
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.send({ kind: 'end' } satisfies Request);
      await gone;
    },
  };
}

type Crowd = ReturnType<typeof startCrowd>;

/** So many followers in a few processes. */
export function startCrowds(followers: number) {
  const count = Math.ceil(followers / followersInAProcess);
  const crowds: readonly Crowd[] = Array.from({ length: count }, startCrowd);
  const all = (request: Request) => Promise.all(crowds.map((crowd) => crowd.ask(request)));
  return {
    /** Gives when the last of them had its snapshot. */
    async follow(endpoints: readonly string[]): Promise<number> {
      const names = Array.from({ length: followers }, (_, i) => `lb-${i}`);
      const answers = await Promise.all(
        crowds.map((crowd, c) =>
          crowd.ask({ kind: 'follow', endpoints, names: names.filter((_, i) => i % count === c) }),
        ),
      );
      return Math.max(...answers.map(({ at }) => at));
    },
    acknowledge: (endpoints: readonly string[]) => all({ kind: 'acknowledge', endpoints, balancers: followers }),
    /** Gives when the last of them was connected and had this revision. */
    async reach(revision: bigint): Promise<number> {
      const answers = await all({ kind: 'reach', revision: String(revision) });
      return Math.max(...answers.map(({ at }) => at));
    },
    /** When the last follower of all saw each revision, and how often they were disconnected. */
    async seen() {
      const answers = await all({ kind: 'seen' });
      const at = new Map<string, number>();
      for (const { revisions = [] } of answers)
        for (const [revision, time] of revisions) at.set(revision, Math.max(at.get(revision) ?? 0, time));
      return { at, disconnected: answers.reduce((sum, { disconnected = 0 }) => sum + disconnected, 0) };
    },
    /** Seconds of processor time of all until now. */
    async cpu(): Promise<number> {
      return (await all({ kind: 'cost' })).reduce((sum, { cpu }) => sum + cpu, 0);
    },
    end: () => Promise.all(crowds.map((crowd) => crowd.end())),
  };
}
