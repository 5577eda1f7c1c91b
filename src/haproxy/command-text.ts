// HAProxy's command buffer is 16 KiB (tune.bufsize); a longer line is not run at all.
const longest = 12 * 1024;
// Nothing that could end a command, begin another, or be quoted, escaped or expanded: no newline, `;`, quote, backslash,
// `#`, `$`, `<` (a payload), and nothing beyond ASCII. Several of these mean something else in a file than on a command
// line.
const plain = /^[A-Za-z0-9 ._:/[\]@+,*=~%(){}|!?&^-]+$/;

/** Whether HAProxy's command line takes this text as one command, word for word. */
export function isCommandText(text: string): boolean {
  return text.length <= longest && plain.test(text);
}
