import { clausesOf, type LogEvent, sentenceOf } from '../model/log-event.ts';
import { formatDuration } from './format.ts';

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium', hourCycle: 'h23' });

/** The last events, the newest first, with the time of each stage. */
export function Timeline({ events }: { readonly events: readonly LogEvent[] }) {
  if (events.length === 0) return <p class="empty">Nothing has happened yet.</p>;
  return (
    <ol class="timeline">
      {events.map((one) => (
        <li key={one.id} class={one.level}>
          <time dateTime={one.time}>{clock.format(new Date(one.time))}</time>
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
      ))}
    </ol>
  );
}

type StagesProps = { readonly stages: LogEvent['stages']; readonly whole: number | undefined };

/** How the whole time divides: what no stage took was waiting for a reload. */
function Stages({ stages, whole }: StagesProps) {
  if (stages === undefined || whole === undefined || whole <= 0) return null;
  const named = Object.entries(stages);
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
