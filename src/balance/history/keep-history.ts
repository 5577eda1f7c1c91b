import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import { stepMs } from './ring.ts';
import type { TrafficHistory } from './traffic-history.ts';

type KeepHistoryParts = {
  readonly history: TrafficHistory;
  readonly link: Pick<RuntimeLink, 'connected' | 'backendTraffic'>;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

/** With very many services a read takes long, so it gets at most 1 % of the time. */
const mostShare = 0.01;

/** Reads HAProxy's counts in each step. The answer ends it. */
export function keepHistory({ history, link, now }: KeepHistoryParts): () => void {
  let reading = false;
  let restUntil = 0;
  const look = async () => {
    const begun = now();
    if (reading || begun < restUntil || !link.connected) return;
    reading = true;
    try {
      const traffic = await link.backendTraffic();
      history.look(traffic, now());
      restUntil = begun + (now() - begun) / mostShare - stepMs;
    } catch {
      // HAProxy is starting or loads a configuration: this step stays unknown, and others report the outage.
    } finally {
      reading = false;
    }
  };
  const timer = setInterval(() => void look(), stepMs).unref();
  void look();
  return () => clearInterval(timer);
}
