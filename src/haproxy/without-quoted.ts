/**
 * An error of HAProxy about a line, without the quoted parts of the line: the value of a header or the text that a
 * check expects may be a password, and what HAProxy says goes to logs and to other machines. Words of the language stay, for
 * they are what is wrong most often.
 */
export function withoutQuoted(says: string, line: string): string {
  // The author of the template wrote this text as the message.
  if (/^\s*\.alert\s/.test(line)) return says;
  const quoted = [...line.matchAll(/"((?:[^"\\]|\\.)*)"?|'([^']*)'?/g)].map(
    ([, double, single]) => double ?? single ?? '',
  );
  const escaped = [...line.matchAll(/(?:[^\s"'\\]|\\.)*\\.(?:[^\s"'\\]|\\.)*/g)].map(([one]) => one);
  const secrets = [...line.matchAll(/\b(?:insecure-)?password\s+(\S+)/g)].map(([, one = '']) => one);
  const whole = [...quoted, ...escaped, ...secrets].map((text) => text.replace(/\\(.)/g, '$1'));
  // HAProxy says it in whole or cut into words, whichever it stumbled over.
  const parts = [...whole, ...whole.flatMap((text) => text.split(/\s+/))].filter((text) => text.length > 3);
  return [...new Set(parts)]
    .sort((one, other) => other.length - one.length)
    .reduce((now, part) => now.replaceAll(part, '…'), says);
}
