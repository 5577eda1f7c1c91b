import { setTimeout as pause } from 'node:timers/promises';
import type { ILeaseKeepAliveRequest } from 'etcd3/lib/rpc.js';
import { openStream, within } from './call-time.ts';
import { describeFailure, failureOf, isSilence } from './failure.ts';
import type { DuplexCall } from './grpc-channel.ts';
import type { MemberClient } from './member-client.ts';
import type { Members } from './members.ts';

export type KeepAliveOptions = {
  readonly members: Members;
  readonly ttlMs: number;
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly begin: 'at once' | 'after a beat';
  /** The one to keep alive, which may be another one each time; undefined while there is none. */
  readonly lease: () => string | undefined;
  /** It was answered, with what is left of the lease: nothing when it is gone. Must not wait for etcd, nor throw. */
  readonly onAnswer: (lease: string, alive: boolean) => void;
  /** There was no lease when it was time. */
  readonly onNone: () => void;
  readonly onFailure: (reason: string) => void;
};

type Line = {
  readonly client: MemberClient;
  readonly stream: DuplexCall<ILeaseKeepAliveRequest>;
  /** The TTL of the next answer. Rejects when the stream ends. */
  readonly next: () => Promise<string>;
};

const streamMs = 2000;

/** When the next keep-alive is due, in ms: a third of the TTL, give or take a tenth, so that many do not march in step. */
function beatAfter(ttlMs: number, random: number): number {
  return (ttlMs / 3) * (0.9 + 0.2 * random);
}

/**
 * How long an answer may take before another member is asked, in ms: what leaves time for all of three to be asked, and
 * `stretch` times as much on a slow link, if that leaves time for another attempt.
 */
function answerBy(ttlMs: number, stretch: number): number {
  return Math.min(Math.min(1500, ttlMs / 5) * stretch, ttlMs / 2);
}

/**
 * Keeps a lease alive until `signal` aborts. A member that does not answer in time is left for the next one at once, with
 * the same lease.
 */
export async function keepAlive(options: KeepAliveOptions): Promise<void> {
  const { members, ttlMs, random, signal } = options;
  let line: Line | undefined;
  let wait = options.begin === 'at once' ? 0 : beatAfter(ttlMs, random());
  while (!signal.aborted) {
    await pause(wait, undefined, { signal }).catch(() => undefined);
    const lease = options.lease();
    if (signal.aborted) break;
    wait = beatAfter(ttlMs, random());
    if (lease === undefined) {
      options.onNone();
      continue;
    }
    try {
      const client = await members.client();
      const { stretch } = members;
      const answerMs = answerBy(ttlMs, stretch);
      if (line?.client !== client) {
        line?.stream.cancel();
        line = await openLine(client, Math.min(streamMs * stretch, answerMs * 2));
      }
      const began = performance.now();
      line.stream.write({ ID: lease });
      const left = await within(line.next(), answerMs, 'no answer to a keep-alive');
      members.answered(performance.now() - began);
      if (!signal.aborted) options.onAnswer(lease, left !== '0');
    } catch (error) {
      if (signal.aborted) break;
      const failure = failureOf(error);
      options.onFailure(describeFailure(failure));
      line?.stream.cancel();
      const current = line?.client;
      line = undefined;
      if (current !== undefined) members.discard(current, isSilence(failure.reason));
      else
        await members.client().then(
          (client) => members.discard(client, isSilence(failure.reason)),
          () => undefined,
        );
      // At once with the next member: a fifth of the TTL is gone with the one that did not answer.
      wait = Math.min(wait, 20 + random() * 80);
    }
  }
  line?.stream.cancel();
}

async function openLine(client: MemberClient, ms: number): Promise<Line> {
  let waiting: { resolve: (ttl: string) => void; reject: (error: Error) => void } | undefined;
  let ended: Error | undefined;
  const opening = client.keepAlive({
    onBytes: () => undefined,
    onMessage: ({ TTL }) => {
      waiting?.resolve(TTL);
      waiting = undefined;
    },
    onEnd: (error) => {
      ended = error ?? new Error('etcd ended the keep-alive stream');
      waiting?.reject(ended);
      waiting = undefined;
    },
  });
  const next = () =>
    new Promise<string>((resolve, reject) => {
      if (ended !== undefined) reject(ended);
      else waiting = { resolve, reject };
    });
  return { client, stream: await openStream(opening, ms), next };
}
