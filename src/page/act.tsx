import { useContext, useEffect, useRef, useState } from 'preact/hooks';
import type { BalanceHealth } from '../balance/health.ts';
import type { FleetMember } from '../balance/queries/fleet-members.ts';
import type { Outcome, Preview } from '../operate/operations.ts';
import { choicesFor, durationsOf, nameOf, requestOf, type Subject } from './choices.ts';
import { DialogEnd } from './dialog-end.tsx';
import { Acting, type Answered, type Operator, post } from './operator.ts';

/** Opens the actions; nothing while nobody may act. */
export function ActButton(subject: Subject) {
  const act = useContext(Acting);
  if (act === undefined) return null;
  return (
    <button type="button" class="small" aria-label={`Act on ${nameOf(subject)}`} onClick={() => act(subject)}>
      act…
    </button>
  );
}

type ActProps = {
  readonly subject: Subject;
  readonly operator: Operator;
  readonly health: BalanceHealth;
  readonly fleet: readonly FleetMember[];
  readonly onClose: () => void;
};

/** Offers actions, shows what the chosen one will do, and does it. */
export function Act({ subject, operator, health, fleet, onClose }: ActProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [choices] = useState(() => choicesFor(subject, health));
  const [chosen, setChosen] = useState(0);
  const [weight, setWeight] = useState('');
  const [lasts, setLasts] = useState(0);
  const [why, setWhy] = useState('');
  const [outcome, setOutcome] = useState<Answered<Outcome>>();
  const choice = choices[chosen];
  useEffect(() => dialog.current?.showModal(), []);
  const durations = choice === undefined ? [] : durationsOf(choice);
  const forMs = durations[lasts]?.ms;
  const request = choice && requestOf(subject, choice, { weight, forMs, why });
  const preview = usePreview(operator, request);
  const onSubmit = async (event: Event) => {
    event.preventDefault();
    if (request !== undefined) setOutcome(await post<Outcome>('actions', operator, request));
  };
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="act">
      <h2 id="act">{nameOf(subject)}</h2>
      {outcome?.ok ? (
        <Done outcome={outcome.value} fleet={fleet} onClose={() => dialog.current?.close()} />
      ) : (
        <form onSubmit={onSubmit} class="fields">
          <label>
            <span>Action</span>
            <select
              value={chosen}
              onChange={({ currentTarget }) => {
                setChosen(Number(currentTarget.value));
                setLasts(0);
              }}
            >
              {choices.map(({ action, label }, i) => (
                <option key={action} value={i}>
                  {label}
                </option>
              ))}
            </select>
          </label>
          {choice?.action === 'weight' && (
            <label>
              <span>Weight, 0 to 256</span>
              <input
                type="number"
                required
                min={0}
                max={256}
                value={weight}
                onInput={({ currentTarget }) => setWeight(currentTarget.value)}
              />
            </label>
          )}
          {choice?.lasts && (
            <>
              <label>
                <span>For</span>
                <select value={lasts} onChange={({ currentTarget }) => setLasts(Number(currentTarget.value))}>
                  {durations.map(({ label }, i) => (
                    <option key={label} value={i}>
                      {label}
                    </option>
                  ))}
                </select>
              </label>
              <label>
                <span>Reason</span>
                <input
                  type="text"
                  maxLength={256}
                  value={why}
                  onInput={({ currentTarget }) => setWhy(currentTarget.value)}
                />
              </label>
            </>
          )}
          <Previewed answer={preview} />
          <DialogEnd
            dialog={dialog}
            submit="Do it"
            disabled={request === undefined || preview?.ok !== true}
            refused={outcome?.ok === false && outcome.reason}
          />
        </form>
      )}
    </dialog>
  );
}

const typingMs = 250;

/** What the balancer says that the action will do; undefined while it is asked. */
function usePreview(operator: Operator, request: object | undefined): Answered<Preview> | undefined {
  const [preview, setPreview] = useState<{ readonly of: string; readonly answer: Answered<Preview> }>();
  const text = JSON.stringify(request);
  useEffect(() => {
    if (text === undefined) return;
    let current = true;
    const timer = setTimeout(async () => {
      const answer = await post<Preview>('actions/preview', operator, JSON.parse(text));
      if (current) setPreview({ of: text, answer });
    }, typingMs);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [text, operator]);
  return preview?.of === text ? preview?.answer : undefined;
}

/** The same words as those of the command. */
function Previewed({ answer }: { readonly answer: Answered<Preview> | undefined }) {
  return (
    <div class="preview" aria-live="polite">
      {answer === undefined && <p class="dim">What it will do…</p>}
      {answer?.ok === false && <p class="bad">{answer.reason}</p>}
      {answer?.ok && (
        <>
          <p>{answer.value.says}</p>
          {answer.value.counts && <p>{answer.value.counts}</p>}
          {answer.value.warnings.map((warning) => (
            <p key={warning} class="note">
              {warning}
            </p>
          ))}
          <code>{answer.value.command}</code>
        </>
      )}
    </div>
  );
}

type DoneProps = { readonly outcome: Outcome; readonly fleet: readonly FleetMember[]; readonly onClose: () => void };

/** What was done, and which balancers serve it already. */
function Done({ outcome: { says, warnings, revision }, fleet, onClose }: DoneProps) {
  const served = fleet.filter((one) => revision !== undefined && one.revision >= Number(revision));
  return (
    <div role="status">
      <p>{says}</p>
      {warnings.map((warning) => (
        <p key={warning} class="note">
          {warning}
        </p>
      ))}
      <p class={served.length === fleet.length ? 'good' : 'dim'}>
        {revision === undefined
          ? 'It was gone meanwhile.'
          : `Revision ${revision}, served by ${served.length} of ${fleet.length} balancers.`}
      </p>
      <div class="buttons">
        <button type="button" class="main" onClick={onClose}>
          Close
        </button>
      </div>
    </div>
  );
}
