import pc from 'picocolors';
import { printable } from '../model/printable.ts';

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const everyMs = 80;

export type Spinner = {
  /** Sets the text next to the spinner. */
  readonly say: (text: string) => void;
  /** Takes the line away. */
  readonly stop: () => void;
};

/** A line on a terminal that moves and says what is waited for; nothing where it is not a terminal. */
export function startSpinner(stream: NodeJS.WriteStream): Spinner {
  if (!stream.isTTY) return { say: () => undefined, stop: () => undefined };
  let frame = 0;
  let said = '';
  const draw = () => {
    frame = (frame + 1) % frames.length;
    // A terminal that does not know its width says 0.
    const width = Math.max(10, (stream.columns || 80) - 3);
    stream.write(`\r\u001b[2K${pc.cyan(frames[frame] ?? '')} ${said.slice(0, width)}`);
  };
  let stopped = false;
  const timer = setInterval(draw, everyMs);
  return {
    say(text) {
      said = printable(text);
    },
    stop() {
      if (stopped) return;
      stopped = true;
      clearInterval(timer);
      stream.write('\r\u001b[2K');
    },
  };
}
