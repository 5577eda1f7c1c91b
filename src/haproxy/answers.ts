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
