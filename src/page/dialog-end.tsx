import type { RefObject } from 'preact';

type DialogEndProps = {
  readonly dialog: RefObject<HTMLDialogElement | null>;
  /** The words on the button that sends the form. */
  readonly submit: string;
  readonly disabled?: boolean;
  /** Why the balancer refused what was sent. */
  readonly refused: string | undefined | false;
};

/** The end of a form in a dialog: the reason of a refusal, the button that sends the form, and the one that closes the dialog. */
export function DialogEnd({ dialog, submit, disabled = false, refused }: DialogEndProps) {
  return (
    <>
      <p class="bad" role="alert">
        {refused}
      </p>
      <div class="buttons">
        <button type="submit" class="main" disabled={disabled}>
          {submit}
        </button>
        <button type="button" onClick={() => dialog.current?.close()}>
          Cancel
        </button>
      </div>
    </>
  );
}
