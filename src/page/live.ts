import { useEffect, useRef, useState } from 'preact/hooks';
import type { BalanceHealth } from '../balance/health.ts';
import type { FleetMember } from '../balance/queries/fleet-members.ts';
import type { ServiceDetail, ServiceView } from '../balance/queries/service-view.ts';
import type { LogEvent } from '../model/log-event.ts';
import { addLook, type RateHistory } from './rates.ts';
import { parseShown } from './shown-json.ts';

/** The last data of the page. */
export type Live = {
  readonly health: BalanceHealth | undefined;
  readonly services: readonly ServiceView[];
  readonly fleet: readonly FleetMember[];
  readonly history: RateHistory;
  readonly events: readonly LogEvent[];
  /** Why the balancer does not answer; undefined while it does. */
  readonly lost: string | undefined;
};

const everyMs = 2000;
const mostEvents = 100;
// HAProxy's own chatter is in the log; what pointsman did is what the timeline is about.
const hidden: ReadonlySet<string> = new Set(['haproxy']);

const get = async <T>(path: string): Promise<T> => {
  const answer = await fetch(path, { signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(`it answered ${answer.status} to ${path}`);
  return parseShown(await answer.text());
};

/** Looks every two seconds, and at once when something was applied; not while the page is hidden. */
export function useLive(): Live {
  const [live, setLive] = useState<Live>({
    health: undefined,
    services: [],
    fleet: [],
    history: new Map(),
    events: [],
    lost: undefined,
  });
  const looking = useRef(false);

  useEffect(() => {
    const look = async () => {
      if (document.hidden || looking.current) return;
      looking.current = true;
      try {
        const [health, services, fleet] = await Promise.all([
          get<BalanceHealth>('status'),
          get<readonly ServiceView[]>('services'),
          get<readonly FleetMember[]>('fleet'),
        ]);
        const at = Date.now() / 1000;
        setLive((was) => ({
          ...was,
          health,
          services,
          fleet,
          history: addLook(was.history, at, services),
          lost: undefined,
        }));
      } catch (error) {
        setLive((was) => ({ ...was, lost: error instanceof Error ? error.message : String(error) }));
      } finally {
        looking.current = false;
      }
    };
    const hear = (fresh: readonly LogEvent[]) => {
      const shown = fresh.filter(({ event }) => event !== undefined && !hidden.has(event));
      if (shown.length === 0) return;
      setLive((was) => {
        const newest = was.events[0]?.id ?? 0;
        const added = shown.filter(({ id }) => id > newest).reverse();
        return { ...was, events: [...added, ...was.events].slice(0, mostEvents) };
      });
    };
    const catchUp = () => get<readonly LogEvent[]>(`events?most=${mostEvents}`).then(hear, () => undefined);

    const source = new EventSource('events/stream');
    source.onopen = () => void catchUp();
    source.onmessage = ({ lastEventId, data }: MessageEvent<string>) => {
      hear([{ ...parseShown(data), id: Number(lastEventId) }]);
      void look();
    };
    const timer = setInterval(look, everyMs);
    document.addEventListener('visibilitychange', look);
    void look();
    return () => {
      source.close();
      clearInterval(timer);
      document.removeEventListener('visibilitychange', look);
    };
  }, []);
  return live;
}

/** The instances of one service, read again with every read of all services. */
export function useService(name: string, looked: unknown): ServiceDetail | undefined {
  const [detail, setDetail] = useState<ServiceDetail>();
  useEffect(() => {
    let current = true;
    get<ServiceDetail>(`services/${encodeURIComponent(name)}`).then(
      (found) => current && setDetail(found),
      () => undefined,
    );
    return () => {
      current = false;
    };
  }, [name, looked]);
  return detail;
}
