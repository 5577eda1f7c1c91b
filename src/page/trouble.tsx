import { ExplainButton } from './explain.tsx';
import { summaryOf, type TroubleLine } from './trouble-lines.ts';

const marks = { bad: '✗', note: '!' } as const;
const words = { bad: 'Problem', note: 'Note' } as const;

/** All that is wrong, the worst first, in a box that does not grow. */
export function Trouble({ lines }: { readonly lines: readonly TroubleLine[] }) {
  return (
    <section class="wrong" aria-labelledby="wrong">
      <h2 id="wrong">
        Look at this <span class="dim">{summaryOf(lines)}</span>
      </h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard. */}
      <div class="scrolls" tabIndex={0}>
        {lines.length === 0 ? (
          <p class="empty">All services that are registered are served.</p>
        ) : (
          <ul class="trouble">
            {lines.map(({ kind, says, about }) => (
              <li key={about === undefined ? says : `${about.service}/${about.instance}`} class={kind}>
                <span role="img" aria-label={words[kind]}>
                  {marks[kind]}
                </span>
                <span class="says">{says}</span>
                {about && <ExplainButton {...about} />}
              </li>
            ))}
          </ul>
        )}
      </div>
    </section>
  );
}
