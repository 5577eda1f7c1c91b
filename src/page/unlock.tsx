import { useEffect, useRef, useState } from 'preact/hooks';
import { DialogEnd } from './dialog-end.tsx';
import { type Operator, post } from './operator.ts';

type UnlockProps = { readonly onUnlock: (operator: Operator) => void; readonly onClose: () => void };

/** Asks for the token, and keeps it if the balancer accepts it. */
export function Unlock({ onUnlock, onClose }: UnlockProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [token, setToken] = useState('');
  const [who, setWho] = useState('');
  const [refused, setRefused] = useState<string>();
  useEffect(() => dialog.current?.showModal(), []);
  const onSubmit = async (event: Event) => {
    event.preventDefault();
    const operator = { token: token.trim(), who: who.trim() };
    const answer = await post('actions/check', operator, {});
    if (!answer.ok) return setRefused(answer.reason);
    onUnlock(operator);
    dialog.current?.close();
  };
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="unlock">
      <h2 id="unlock">Act on instances and services</h2>
      <form onSubmit={onSubmit} class="fields">
        <label>
          <span>Token of --admin-token-file</span>
          <input
            type="password"
            required
            autocomplete="off"
            value={token}
            onInput={({ currentTarget }) => setToken(currentTarget.value)}
          />
        </label>
        <label>
          <span>Your name, for others to ask</span>
          <input
            type="text"
            maxLength={64}
            autocomplete="off"
            value={who}
            onInput={({ currentTarget }) => setWho(currentTarget.value)}
          />
        </label>
        <p class="dim">The token stays in this page until it is closed or loaded again.</p>
        <DialogEnd dialog={dialog} submit="Unlock" refused={refused} />
      </form>
    </dialog>
  );
}
