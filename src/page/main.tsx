import { render } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Fleet } from './fleet.tsx';
import { useLive } from './live.ts';
import { sumOf } from './rates.ts';
import { Services, Traffic } from './services.tsx';
import { Timeline } from './timeline.tsx';
import { Trouble } from './trouble.tsx';
import 'uplot/dist/uPlot.min.css';
import './page.css';

function Page() {
  const { health, services, fleet, history, events, lost } = useLive();
  const [search, setSearch] = useState('');
  const input = useRef<HTMLInputElement>(null);
  const total = useMemo(() => sumOf(history), [history]);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLInputElement;
      if (event.key === '/' && !typing) {
        event.preventDefault();
        input.current?.focus();
      } else if (event.key === 'Escape' && typing) {
        setSearch('');
        input.current?.blur();
      }
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);

  const instances = services.reduce((sum, service) => sum + service.instances, 0);
  return (
    <>
      <header>
        <h1>
          <span class={`dot ${lost === undefined && health?.ready ? 'good' : 'bad'}`} aria-hidden="true" /> pointsman{' '}
          <span class="dim">{health?.id}</span>
        </h1>
        <p class="dim">
          {health !== undefined &&
            `revision ${health.revisionApplied} · ${services.length} services · ${instances} instances · HAProxy ${health.haproxyVersion ?? '…'}`}
        </p>
      </header>
      <Trouble health={health} lost={lost} />
      <main>
        <section aria-labelledby="traffic">
          <h2 id="traffic">All services</h2>
          <Traffic samples={total} name="all services" />
        </section>
        <section aria-labelledby="services">
          <div class="bar">
            <h2 id="services">Services</h2>
            <input
              ref={input}
              type="search"
              placeholder="search ( / )"
              aria-label="Search services by name or route"
              value={search}
              onInput={({ currentTarget }) => setSearch(currentTarget.value)}
            />
          </div>
          <Services services={services} history={history} search={search} />
        </section>
      </main>
      <aside>
        <section aria-labelledby="fleet">
          <h2 id="fleet">Balancers</h2>
          <Fleet fleet={fleet} self={health?.id} />
        </section>
        <section aria-labelledby="timeline">
          <h2 id="timeline">What happened</h2>
          <Timeline events={events} />
        </section>
      </aside>
    </>
  );
}

const root = document.getElementById('app');
if (root !== null) render(<Page />, root);
