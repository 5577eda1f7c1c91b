import { Fault } from '../model/fault.ts';

/**
 * Splits what HAProxy's command line writes in prompt mode into one answer a command. Seen on 2.6 to 3.4: with one
 * command a line, each answer, an empty one too, ends in a newline and "> "; through the master in a newline and "PID> ". Takes chunks cut anywhere.
 */
export function answerSplitter(prompt = '\n> '): (chunk: string) => string[] {
  let pending = '';
  let searched = 0;
  return (chunk) => {
    pending += chunk;
    const answers: string[] = [];
    let start = 0;
    let end = pending.indexOf(prompt, searched);
    while (end !== -1) {
      answers.push(pending.slice(start, end));
      start = end + prompt.length;
      end = pending.indexOf(prompt, start);
    }
    pending = pending.slice(start);
    // A long answer arrives in many chunks: do not search its beginning again.
    searched = Math.max(0, pending.length - prompt.length);
    return answers;
  };
}

// HAProxy's command buffer is 16 KiB (tune.bufsize); a longer line is not run at all.
const longestCommand = 12 * 1024;
// Nothing that could end a command, begin another, or be quoted, escaped or expanded: no newline, `;`, quote, backslash,
// `#`, `$`, `<` (a payload), and nothing beyond ASCII. Several of these mean something else in a file than on a command
// line.
const plain = /^[A-Za-z0-9 ._:/[\]@+,*=~%(){}|!?&^-]+$/;

/** Whether HAProxy's command line takes this text as one command, word for word. */
export function isCommandText(text: string): boolean {
  return text.length <= longestCommand && plain.test(text);
}

/** HAProxy answered with something that is no answer to this command: an error, most often. */
export function unexpectedAnswer(command: string, answer: string): Fault {
  const text = answer.trim();
  const said = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return new Fault('haproxy-runtime', `HAProxy answered ${JSON.stringify(said)} to ${JSON.stringify(command)}`);
}
