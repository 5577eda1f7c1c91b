import { clausesOf, type LogEvent, sentenceOf } from '../model/log-event.ts';
import { clockOf, dayOf, fullOf } from './dates.ts';
import { formatDuration } from './format.ts';

/** The last events, the newest first, with the time of each stage. A new day has its date. */
export function Timeline({ events }: { readonly events: readonly LogEvent[] }) {
  if (events.length === 0) return <p class="empty">Nothing has happened yet.</p>;
  return (
    <ol class="timeline">
      {events.map((one, i) => {
        const at = new Date(one.time);
        const before = events[i - 1];
        const newDay = before === undefined || dayOf(new Date(before.time)) !== dayOf(at);
        return (
          <li key={one.id} class={one.level}>
            {newDay && <h3 class="day">{dayOf(at)}</h3>}
            <time dateTime={one.time} title={fullOf(at)}>
              {clockOf(at)}
            </time>
            <div>
              <b>{one.event}</b> {one.revision !== undefined && <span class="dim">revision {one.revision}</span>}{' '}
              {one.ms !== undefined && <span class="took">{formatDuration(one.ms)}</span>}
              <Stages stages={one.stages} whole={one.ms} />
              {one.key !== undefined && <div>{one.key}</div>}
              {sentenceOf(one) !== undefined && <div>{sentenceOf(one)}</div>}
              {clausesOf(one).map((clause) => (
                <code key={clause}>{clause}</code>
              ))}
            </div>
          </li>
        );
      })}
    </ol>
  );
}

const stages = [
  { name: 'wait', means: 'waits for the round before' },
  { name: 'render', means: 'makes the configuration' },
  { name: 'command', means: 'HAProxy takes the commands' },
  { name: 'reload', means: 'waits for a reload' },
] as const;

/** What the colours of a change mean. */
export function Legend() {
  return (
    <dl class="legend" aria-label="The stages of a change">
      {stages.map(({ name, means }) => (
        <div key={name}>
          <dt>
            <i class={`key stage ${name}`} aria-hidden="true" /> {name}
          </dt>
          <dd>{means}</dd>
        </div>
      ))}
    </dl>
  );
}

type StagesProps = { readonly stages: LogEvent['stages']; readonly whole: number | undefined };

/** How the whole time divides: what no stage took was waiting for a reload. */
function Stages({ stages: taken, whole }: StagesProps) {
  if (taken === undefined || whole === undefined || whole <= 0) return null;
  const named = Object.entries(taken);
  const rest = whole - named.reduce((sum, [, ms]) => sum + ms, 0);
  const all = rest > whole * 0.05 ? [...named, ['reload', rest] as const] : named;
  const text = all.map(([stage, ms]) => `${stage} ${formatDuration(ms)}`).join(', ');
  return (
    <div class="stages" role="img" aria-label={text} title={text}>
      {all.map(([stage, ms]) => (
        <span key={stage} class={`stage ${stage}`} style={{ flexGrow: Math.max(0.001, ms) }} />
      ))}
    </div>
  );
}
