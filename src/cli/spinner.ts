import { printable } from '../model/printable.ts';
import { colorsOf, isSimple } from './outputs.ts';

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const everyMs = 80;

/** When a line about an unfinished work is written, in ms. */
type Pace = {
  /** Work that is done before this has no line. */
  readonly firstMs: number;
  /** Between two lines with different texts. */
  readonly changedMs: number;
  /** Between two lines with the same text. */
  readonly sameMs: number;
};

/** On a terminal that cannot move its cursor, and for the log of a job that no person looks at while it runs. */
const paces = {
  dumb: { firstMs: 800, changedMs: 5000, sameMs: 30_000 },
  file: { firstMs: 5000, changedMs: 10_000, sameMs: 30_000 },
} as const satisfies Readonly<Record<string, Pace>>;
/** The line that moves costs nothing to look at, and disappears. */
const movingMs = 500;

export type Spinner = {
  /** Sets the text next to the spinner. `once`: a text with its own limit, of which a log needs no second line. */
  readonly say: (text: string, often?: 'once') => void;
  /** Takes the line away. */
  readonly stop: () => void;
};

/**
 * Says what is waited for, from half a second on: a line that moves on a terminal, and a plain line now and then on a terminal
 * without cursor movement (`TERM=dumb`) and where standard error is a file or a pipe.
 */
export function startSpinner(stream: NodeJS.WriteStream, text = ''): Spinner {
  const spinner =
    stream.isTTY && !isSimple(process.env) ? moving(stream) : plain(stream, stream.isTTY ? paces.dumb : paces.file);
  spinner.say(text);
  return spinner;
}

/** Does work, and says what is waited for when that takes longer than half a second. */
export async function whileWaiting<T>(text: string, work: (say: Spinner['say']) => Promise<T>): Promise<T> {
  const spinner = startSpinner(process.stderr, text);
  try {
    return await work(spinner.say);
  } finally {
    spinner.stop();
  }
}

function moving(stream: NodeJS.WriteStream): Spinner {
  const colors = colorsOf(stream);
  const begun = performance.now();
  let frame = 0;
  let said = '';
  let drawn = false;
  const draw = () => {
    if (said === '' || performance.now() - begun < movingMs) return;
    drawn = true;
    frame = (frame + 1) % frames.length;
    // A terminal that does not know its width says 0.
    const width = Math.max(10, (stream.columns || 80) - 3);
    const shown = [...said].length > width ? `${[...said].slice(0, width - 1).join('')}…` : said;
    stream.write(`\r\u001b[2K${colors.cyan(frames[frame] ?? '')} ${shown}`);
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
      if (drawn) stream.write('\r\u001b[2K');
    },
  };
}

function plain(stream: NodeJS.WritableStream, pace: Pace): Spinner {
  let said = '';
  let isOnce = false;
  let last = { text: '', at: performance.now() };
  const tell = () => {
    const now = performance.now();
    if (isOnce && said === last.text) return;
    const after = last.text === '' ? pace.firstMs : said === last.text ? pace.sameMs : pace.changedMs;
    if (said === '' || now - last.at < after) return;
    last = { text: said, at: now };
    stream.write(`${said}\n`);
  };
  const timer = setInterval(tell, pace.firstMs / 4).unref();
  return {
    say(text, often) {
      said = printable(text);
      isOnce = often === 'once';
    },
    stop: () => clearInterval(timer),
  };
}
