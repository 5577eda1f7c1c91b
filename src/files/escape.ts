import { Fault } from '../model/fault.ts';
import type { EscapeName } from '../settings/file-declaration.ts';
import { placeOfUnsafe } from '../template/place-of-unsafe.ts';
import { followQuotes, type Trail } from '../template/quoting.ts';
import { isSafeText, safeText } from '../template/safe-text.ts';
import { jsonQuoting } from './json-quoting.ts';
import { isSpecial } from './shell/commands.ts';
import { shellQuoting } from './shell-quoting.ts';

export type TagValue = string | number | boolean;

/** How a value becomes text of a file. */
export type Escape = {
  /** Throws Fault `template` for a value that must not go in. */
  readonly write: (value: TagValue, form?: string) => string;
  /** The text for an optional value that is not there. */
  readonly absent: (form?: string) => string;
  /** Set if a value brings its own quotes, so that not every place is right for it. */
  readonly trail?: () => Trail;
};

const nothing = (): string => '';

/** Lets a value through unchanged if all its characters are allowed. */
const allowing =
  (allowed: (text: string) => boolean, where: string, list: string) =>
  (value: TagValue): string => {
    const text = String(value);
    if (allowed(text)) return text;
    throw new Fault('template', `the value is not safe as ${where}: ${placeOfUnsafe(text, allowed)}`, {
      hint: `allowed are ${list}`,
    });
  };

// In nginx.conf a space, `;`, `{`, `}` or `#` ends a word, quotes and `\` change the meaning of what follows, and `$`
// begins a variable. The rest has no special meaning, and is what URLs and the regular expressions of locations are made of.
const nginxWord = /^[A-Za-z0-9._:/[\]@+,*=~%?&!^()|<>-]*$/;
// C0, DEL and C1, the two line ends that only Unicode knows, and bytes that are not UTF-8, which may be C1 to a reader of Latin-1.
const oneLine = /^[^\x00-\x1f\x7f-\x9f\u2028\u2029\udc80-\udcff]*$/u;

/** Each way to write a value, by the name that `escape` gives it. */
export const escapes: Readonly<Record<EscapeName, Escape>> = {
  // Text that is safe in a haproxy.cfg is safe in nearly any configuration: it has no quotes, and ends no word.
  word: {
    write: allowing(isSafeText, 'a word', 'A-Z a-z 0-9 . _ : / [ ] @ + , * = ~ -; or choose another `escape`'),
    absent: nothing,
  },
  haproxy: { write: safeText, absent: nothing },
  nginx: {
    write: allowing(
      (text) => nginxWord.test(text),
      'a word of an nginx.conf',
      'A-Z a-z 0-9 . _ : / [ ] @ + , * = ~ % ? & ! ^ ( ) | < > -',
    ),
    absent: nothing,
  },
  line: {
    write: allowing(
      (text) => oneLine.test(text),
      'one line',
      'all but control characters, line ends and bytes that are not UTF-8',
    ),
    absent: nothing,
  },
  json: { write: jsonValue, absent: () => 'null', trail: () => followQuotes(jsonQuoting) },
  shell: { write: shellText, absent: (form) => shellText('', form), trail: () => followQuotes(shellQuoting) },
  none: { write: String, absent: nothing },
};

/** A JSON value that YAML reads as well: it does not take all characters as they are, and some of them end its lines. */
function jsonValue(value: TagValue): string {
  return JSON.stringify(value).replace(
    /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A value for `sh`: in single quotes nothing has a meaning, and a single quote is written outside of them. */
function shellText(value: TagValue, form?: string): string {
  const text = String(value);
  if (text.includes('\0')) {
    throw new Fault('template', 'the value has a NUL character', {
      hint: 'a word of a shell script cannot have one',
    });
  }
  switch (form) {
    case 'number':
      if (/^(0|[1-9][0-9]{0,17})$/.test(text)) return text;
      throw new Fault('template', 'the value is not a whole number that arithmetic can have', {
        hint: 'up to 18 digits without a sign, the first of several not 0: a shell evaluates anything else',
      });
    case 'name':
    case 'name-rest':
      if (/^[A-Za-z0-9_]+$/.test(text) && (form === 'name-rest' || (/^[A-Za-z_]/.test(text) && !isSpecial(text))))
        return text;
      throw new Fault('template', 'the value is not a name that a variable may have here', {
        hint: 'A-Z a-z 0-9 _, no digit first, and none on which a shell acts, such as PATH',
      });
    case 'assigned':
      if (/^[A-Za-z0-9._/@+,-]+$/.test(text)) return text;
  }
  return `'${text.replaceAll("'", "'\\''")}'`;
}
