import { useEffect, useRef, useState } from 'preact/hooks';
import type { BalanceHealth } from '../balance/health.ts';
import type { HistoryView } from '../balance/history/traffic-history.ts';
import type { CertificatesView } from '../balance/queries/certificates-view.ts';
import type { FleetMember } from '../balance/queries/fleet-members.ts';
import type { NotServed } from '../balance/queries/not-served.ts';
import type { ServiceDetail, ServiceView } from '../balance/queries/service-view.ts';
import type { LogEvent } from '../model/log-event.ts';
import { get } from './http.ts';
import { addLook, type LatestRates } from './latest-rates.ts';
import { parseShown } from './shown-json.ts';

/** The last data of the page. */
export type Live = {
  readonly health: BalanceHealth | undefined;
  readonly services: readonly ServiceView[];
  readonly fleet: readonly FleetMember[];
  readonly notServed: NotServed | undefined;
  readonly certificates: CertificatesView | undefined;
  readonly rates: LatestRates;
  /** When the balancer answered last. */
  readonly at: Date;
};

const nothing: Live = {
  ...{ health: undefined, services: [], fleet: [], notServed: undefined, certificates: undefined },
  ...{ rates: new Map(), at: new Date() },
};

const everyMs = 2000;
/** After an event it looks at once, but not more often than this. */
const leastMs = 500;
/** A balancer with very many services is asked less often: a look takes at most a tenth of the time. */
const mostShare = 0.1;

const readAll = () =>
  Promise.all([
    get<BalanceHealth>('status'),
    get<readonly ServiceView[]>('services'),
    get<readonly FleetMember[]>('fleet'),
    get<NotServed>('not-served'),
    get<CertificatesView>('certificates'),
  ]);

/** Looks every two seconds, and soon after `newest` changes; not while the page is hidden. `lost`: why there was no answer. */
export function useLive(newest: number | undefined): Live & { readonly lost: string | undefined } {
  const [live, setLive] = useState(nothing);
  const [lost, setLost] = useState<string>();
  const looking = useRef(false);
  const restUntil = useRef(0);

  const look = async () => {
    if (document.hidden || looking.current || performance.now() < restUntil.current) return;
    looking.current = true;
    const begun = performance.now();
    try {
      const [health, services, fleet, notServed, certificates] = await readAll();
      const at = new Date();
      setLive((was) => ({
        health,
        services,
        fleet,
        notServed,
        certificates,
        at,
        rates: addLook(was.rates, at.getTime() / 1000, services),
      }));
      setLost(undefined);
    } catch (error) {
      setLost(error instanceof Error ? error.message : String(error));
    } finally {
      looking.current = false;
      const tookMs = performance.now() - begun;
      restUntil.current = begun + Math.max(leastMs, tookMs / mostShare);
    }
  };
  useEffect(() => {
    const timer = setInterval(look, everyMs);
    document.addEventListener('visibilitychange', look);
    void look();
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', look);
    };
  }, []);
  useEffect(() => {
    const timer = setTimeout(look, Math.max(0, restUntil.current - performance.now()));
    return () => clearTimeout(timer);
  }, [newest]);
  return { ...live, lost };
}

const mostEvents = 100;
// HAProxy's own chatter is in the log; what pointsman did is what the timeline is about.
const hidden: ReadonlySet<string> = new Set(['haproxy']);

/** The newest events, the newest first, as they happen. */
export function useEvents(): readonly LogEvent[] {
  const [events, setEvents] = useState<readonly LogEvent[]>([]);
  useEffect(() => {
    const hear = (fresh: readonly LogEvent[]) => {
      const shown = fresh.filter(({ event }) => event !== undefined && !hidden.has(event));
      if (shown.length === 0) return;
      setEvents((was) => {
        const newest = was[0]?.id ?? 0;
        const added = shown.filter(({ id }) => id > newest).reverse();
        return [...added, ...was].slice(0, mostEvents);
      });
    };
    const source = new EventSource('events/stream');
    source.onopen = () => void get<readonly LogEvent[]>(`events?most=${mostEvents}`).then(hear, () => undefined);
    source.onmessage = ({ lastEventId, data }: MessageEvent<string>) =>
      hear([{ ...parseShown(data), id: Number(lastEventId) }]);
    return () => source.close();
  }, []);
  return events;
}

/** What a path answers, asked again whenever `looked` changes; undefined before the first answer. */
export function useAnswer<T>(path: string, looked: unknown): T | undefined {
  const [answer, setAnswer] = useState<{ readonly path: string; readonly value: T }>();
  useEffect(() => {
    let current = true;
    get<T>(path).then(
      (value) => current && setAnswer({ path, value }),
      () => undefined,
    );
    return () => {
      current = false;
    };
  }, [path, looked]);
  // Until the answer is there, the one before is shown if it is about the same.
  return answer !== undefined && sameSubject(answer.path, path) ? answer.value : undefined;
}

const sameSubject = (one: string, other: string): boolean => one.split('?')[0] === other.split('?')[0];

/** A part of the instances of one service, read again with every look. */
export const useService = (name: string, from: number, most: number, looked: unknown) =>
  useAnswer<ServiceDetail>(`services/${encodeURIComponent(name)}?from=${from}&most=${most}`, looked);

const stepMs = 10_000;

/** The last hour of a service, or of all; undefined while there is none. Read again every 10 s. */
export function useHistory(name: string | undefined): HistoryView | undefined {
  const [step, setStep] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => !document.hidden && setStep((one) => one + 1), stepMs);
    return () => clearInterval(timer);
  }, []);
  return useAnswer<HistoryView>(name === undefined ? 'history' : `history/${encodeURIComponent(name)}`, step);
}
