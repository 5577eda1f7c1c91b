import { createContext } from 'preact';
import { useContext, useEffect, useRef } from 'preact/hooks';
import type { Explanation } from '../balance/queries/explain.ts';
import { useAnswer } from './live.ts';

export type Instance = { readonly service: string; readonly instance: string };

/** Opens the explanation of an instance. */
export const Explaining = createContext<(instance: Instance) => void>(() => undefined);

/** One click to why an instance is served or not. */
export function ExplainButton({ service, instance }: Instance) {
  const explain = useContext(Explaining);
  return (
    <button
      type="button"
      class="small"
      aria-label={`Explain ${service}/${instance}`}
      onClick={() => explain({ service, instance })}
    >
      explain
    </button>
  );
}

const marks = { good: '✓', bad: '✗', note: '!' } as const;
const words = { good: 'passed', bad: 'obstacle', note: 'note' } as const;

type ExplainDialogProps = Instance & { readonly looked: unknown; readonly onClose: () => void };

/** From the key in the registry to HAProxy, and the first obstacle. */
export function ExplainDialog({ service, instance, looked, onClose }: ExplainDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const path = `explain/${encodeURIComponent(service)}/${encodeURIComponent(instance)}`;
  const found = useAnswer<Explanation>(path, looked);
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="explained">
      <h2 id="explained">
        {service}/{instance}
      </h2>
      {found === undefined ? (
        <p class="dim">Asking the balancer…</p>
      ) : (
        <>
          <p class={found.verdict === 'served' ? 'good' : 'bad'}>
            <b>{found.verdict}</b>: {found.because}
          </p>
          <ul class="findings">
            {found.findings.map(({ stage, state, says }) => (
              <li key={stage + says}>
                <span class={state} role="img" aria-label={words[state]}>
                  {marks[state]}
                </span>
                <b>{stage}</b>
                <span>{says}</span>
              </li>
            ))}
          </ul>
        </>
      )}
      <p class="dim">
        In a terminal:{' '}
        <code>
          pointsman explain {service}/{instance}
        </code>
      </p>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}
