import { type ComponentChildren, render } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Act } from './act.tsx';
import { Certificates } from './certificates.tsx';
import type { Subject } from './choices.ts';
import { fullOf, zoneName } from './dates.ts';
import { ExplainDialog, Explaining, type Instance } from './explain.tsx';
import { Fleet } from './fleet.tsx';
import { plural } from './format.ts';
import { sumOf } from './latest-rates.ts';
import { type Live, useAnswer, useEvents, useLive } from './live.ts';
import { Acting, type Operator } from './operator.ts';
import { Services } from './services.tsx';
import { TakenOut } from './taken-out.tsx';
import { Legend, Timeline } from './timeline.tsx';
import { Traffic } from './traffic.tsx';
import { Trouble } from './trouble.tsx';
import { summaryOf, type TroubleLine, troubleOf, worstOf } from './trouble-lines.ts';
import { Unlock } from './unlock.tsx';
import 'uplot/dist/uPlot.min.css';
import './page.css';

const plotHeight = 214;

function Page() {
  const events = useEvents();
  const live = useLive(events[0]?.id);
  const [explained, setExplained] = useState<Instance>();
  const [acting, setActing] = useState<Subject>();
  const [operator, setOperator] = useState<Operator>();
  const [unlocking, setUnlocking] = useState(false);
  const allowed = useAnswer<{ readonly allowed: boolean }>('actions', undefined)?.allowed === true;
  const [search, setSearch] = useState('');
  const input = useSearchKeys(setSearch);
  const { health, services, fleet, notServed, certificates, rates, at } = live;
  const lines = useMemo(() => troubleOf({ ...live, now: new Date() }), [live]);
  const total = useMemo(() => sumOf(rates), [rates]);
  const known = health !== undefined;
  return (
    <Acting.Provider value={operator && setActing}>
      <Explaining.Provider value={setExplained}>
        <Head live={live} lines={lines}>
          {allowed && operator === undefined && (
            <button type="button" onClick={() => setUnlocking(true)}>
              Unlock actions
            </button>
          )}
          {operator && (
            <button type="button" onClick={() => setOperator(undefined)}>
              Lock actions
            </button>
          )}
        </Head>
        {known && (
          <>
            <div class="top">
              <section aria-labelledby="traffic">
                <h2 id="traffic">All services</h2>
                <Traffic name={undefined} latest={total} height={plotHeight} />
              </section>
              <Trouble lines={lines} />
            </div>
            <main>
              <section aria-labelledby="services">
                <div class="bar">
                  <h2 id="services">Services</h2>
                  <input
                    ref={input}
                    type="search"
                    placeholder="search ( / )"
                    aria-label="Search services by name, route or port"
                    value={search}
                    onInput={({ currentTarget }) => setSearch(currentTarget.value)}
                  />
                </div>
                <Services services={services} rates={rates} search={search} />
              </section>
            </main>
            <aside aria-label="Balancers and events">
              <section aria-labelledby="fleet">
                <h2 id="fleet">Balancers</h2>
                <Fleet fleet={fleet} self={health.id} />
              </section>
              <section aria-labelledby="out">
                <h2 id="out">Taken out</h2>
                <TakenOut notServed={notServed} />
              </section>
              <section aria-labelledby="timeline">
                <h2 id="timeline">What happened</h2>
                <Legend />
                {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard. */}
                <div class="events" tabIndex={0}>
                  <Timeline events={events} />
                </div>
              </section>
              {health.certificates.length + (certificates?.list.length ?? 0) > 0 && (
                <section aria-labelledby="certificates">
                  <h2 id="certificates">Certificates</h2>
                  <Certificates certificates={health.certificates} list={certificates?.list ?? []} now={at} />
                </section>
              )}
            </aside>
          </>
        )}
        {explained && <ExplainDialog {...explained} looked={at} onClose={() => setExplained(undefined)} />}
        {unlocking && <Unlock onUnlock={setOperator} onClose={() => setUnlocking(false)} />}
        {acting && operator && health && (
          <Act
            subject={acting}
            operator={operator}
            health={health}
            fleet={fleet}
            onClose={() => setActing(undefined)}
          />
        )}
      </Explaining.Provider>
    </Acting.Provider>
  );
}

type HeadProps = {
  readonly live: Live;
  readonly lines: readonly TroubleLine[];
  readonly children: ComponentChildren;
};

/** Who this is, how it is, and the time. Its colour is that of the worst line. */
function Head({ live: { health, services, at }, lines, children }: HeadProps) {
  const isKnown = health !== undefined || lines.length > 0;
  const summary = isKnown ? summaryOf(lines) : '';
  const worst = isKnown ? worstOf(lines) : '';
  const instances = services.reduce((sum, service) => sum + service.instances, 0);
  const title = health === undefined ? 'pointsman' : `${health.id}: ${summary} – pointsman`;
  useEffect(() => {
    document.title = title;
  }, [title]);
  return (
    <header class={`head-${worst}`}>
      <h1>
        <span class={`dot ${worst}`} aria-hidden="true" /> pointsman <span class="dim">{health?.id}</span>
      </h1>
      {isKnown && (
        <p class={`state ${worst}`} role="status">
          {summary}
        </p>
      )}
      <p class="dim facts">
        {health !== undefined &&
          `revision ${health.revisionApplied} · ${plural(services.length, 'service')} · ${plural(instances, 'instance')} · HAProxy ${health.haproxyVersion ?? '…'}`}
      </p>
      <p class="dim clock">
        {children} <time dateTime={at.toISOString()}>{fullOf(at)}</time>{' '}
        <span>{zoneName() !== 'UTC' && zoneName()}</span>
      </p>
    </header>
  );
}

/** `/` goes to the search, Enter opens the first service that was found, Escape clears the search and leaves it. */
function useSearchKeys(setSearch: (search: string) => void) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const { target } = event;
      const typing = target instanceof HTMLElement && target.matches('input, textarea, select');
      if (event.key === '/' && !typing && document.querySelector('dialog[open]') === null) {
        event.preventDefault();
        input.current?.focus();
      } else if (event.key === 'Enter' && target === input.current) {
        event.preventDefault();
        const found = document.querySelector<HTMLElement>('.services .toggle');
        found?.focus();
        if (found?.getAttribute('aria-expanded') === 'false') found.click();
      } else if (event.key === 'Escape' && target === input.current) {
        setSearch('');
        input.current?.blur();
      }
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
  return input;
}

const root = document.getElementById('app');
if (root !== null) render(<Page />, root);
