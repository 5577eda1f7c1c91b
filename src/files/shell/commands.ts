import type { QuotingRefusal } from '../../template/quoting.ts';

/** The rule for the arguments of a command, as far as they were read. */
export type Rule =
  /** Each argument is a text to it. */
  | { readonly kind: 'texts' }
  /** No value may be an argument, and why. */
  | { readonly kind: 'none'; readonly why: QuotingRefusal; readonly command: string }
  /** Its first argument is a format, its options are not understood. */
  | { readonly kind: 'printf' }
  /** `set`, before `--`. */
  | { readonly kind: 'set' }
  /** `export` and `readonly`: names of variables, or `NAME=` and a text. */
  | { readonly kind: 'names' }
  /** `test` and `[`: a letter for each argument so far. */
  | { readonly kind: 'test'; readonly seen: string; readonly bracket: boolean };

const texts: Rule = { kind: 'texts' };
const assignBefore =
  'give it as a variable: NAME={{…}} on a line before, or in front of the command, which finds it as "$NAME"';

// Builtins of dash and bash that make nothing but text of their arguments; all others may evaluate some: a name with a
// subscript, an option that takes a command, an arithmetic expression.
const harmlessBuiltins = new Set(
  ': [ cd chdir echo exit export false kill printf pwd readonly return set shift test true ulimit umask'.split(' '),
);
const builtins = new Set(
  `. alias bg bind break builtin caller chdir command compgen complete compopt continue coproc declare dirs disown enable
  eval exec fc fg getopts hash help history jobs let local logout mapfile popd pushd read readarray shopt source suspend
  times trap type typeset unalias unset wait`.split(/\s+/),
);
/** Programs that run an argument of theirs as a program, or are known for arguments that are one. */
const runners = new RegExp(
  `^(${[
    'sh|ash|bash|dash|rbash|ksh|mksh|zsh|fish|csh|tcsh|rsh|ssh|mosh|busybox|toybox|su|sudo|doas|runuser|setpriv|env|nice|ionice|nohup|setsid|timeout|time|stdbuf|chrt|taskset',
    'gosu|su-exec|tini|dumb-init|chpst|setuidgid|s6-.*|pkexec|run0|prlimit|numactl|setarch|linux32|linux64|runcon|capsh|firejail|bwrap|fakeroot',
    'xargs|parallel|find|watch|script|expect|flock|chroot|unshare|nsenter|systemd-run|start-stop-daemon|at|batch|crontab',
    'awk|gawk|mawk|nawk|sed|perl|python|pypy|ruby|node|nodejs|deno|bun|php|lua|luajit|tclsh|guile|vi|vim|nvim|ex|ed|emacs|gdb|strace',
    'ltrace|valgrind|make|gmake|m4|dc|socat|Rscript|julia|pwsh|npx|tsx|ts-node|screen|tmux|unbuffer|entr',
  ].join('|')})[0-9.]*$`,
);

/** Whether a command runs the command that follows its name. */
export const leadsOn = (word: string): boolean => word === 'exec' || word === 'command' || word === 'builtin';

/** The rule of the command with this name; see Word for the text. */
export function ruleOf(word: string): Rule {
  const whole = unquoted(word);
  const name = whole.slice(whole.lastIndexOf('/') + 1);
  const none = (refused: string): Rule => ({ kind: 'none', why: { refused, hint: assignBefore }, command: name });
  if (!/^[A-Za-z0-9_.+:@%[][A-Za-z0-9_.+:@%[-]*$/.test(name))
    return none('is an argument of a command whose name is not written plainly');
  if (runners.test(name)) return none(`is an argument of ${name}, which may run it as a program`);
  if (!harmlessBuiltins.has(name)) {
    return builtins.has(name) ? none(`is an argument of ${name}, which may evaluate it`) : texts;
  }
  switch (name) {
    case 'printf':
    case 'set':
      return { kind: name };
    case 'export':
    case 'readonly':
      return { kind: 'names' };
    case '[':
    case 'test':
      return { kind: 'test', seen: '', bracket: name === '[' };
    default:
      return texts;
  }
}

const unquoted = (text: string): string => text.replace(/["']/g, '');

/** The rule after one more argument. */
export function afterArgument(rule: Rule, word: string, hasValue: boolean): Rule | QuotingRefusal {
  const text = unquoted(word);
  switch (rule.kind) {
    case 'texts':
      return rule;
    case 'names':
      return text.startsWith('-') ? refuseAll(rule.kind, 'is an argument after options, which may evaluate it') : rule;
    case 'printf':
      return text.startsWith('-') || text.startsWith('?')
        ? refuseAll(rule.kind, 'is an argument of printf without a format that is written plainly before it')
        : texts;
    case 'set':
      return text === '--' ? texts : rule;
    case 'none':
      return /^(declare|typeset|local|readonly)$/.test(rule.command) && /^[-+?][^=]*[in?]/.test(text)
        ? { refused: `${rule.command} ${text} has bash evaluate what is assigned later`, hint: `leave ${text} out` }
        : rule;
    case 'test':
      return { ...rule, seen: seenAfter(rule.seen, letterOf(text, hasValue)) };
  }
}

const refuseAll = (command: string, refused: string): Rule => ({
  kind: 'none',
  why: { refused, hint: assignBefore },
  command,
});

/** No test that is accepted has so many arguments. A longer one is not followed, except that it has a value. */
const longestTest = 8;

const seenAfter = (seen: string, letter: string): string =>
  seen.length < longestTest ? seen + letter : letter === 'v' ? 'v'.repeat(longestTest) : seen;

/** A letter for an argument of `test`: a value, an operator of one or of two operands, `!`, or anything else. */
function letterOf(text: string, hasValue: boolean): string {
  if (hasValue) return 'v';
  if (/^-[nzefdrwxsLh]$/.test(text)) return 'u';
  if (/^(=|==|!=|-eq|-ne|-lt|-le|-gt|-ge)$/.test(text)) return 'b';
  return text === '!' ? 'n' : text === ']' ? ']' : 'o';
}

/** Why a command must not end here; undefined: it may. */
export function refusalAtEnd(rule: Rule): QuotingRefusal | undefined {
  if (rule.kind !== 'test' || !rule.seen.includes('v')) return undefined;
  const operands = rule.bracket ? rule.seen.replace(/\]$/, '') : rule.seen;
  return /^n?(v|uv|vb[ov]|[ou]bv)$/.test(operands)
    ? undefined
    : {
        refused: 'a value may be taken for an operator of this test',
        hint: 'write [ VALUE = TEXT ], [ -n VALUE ] and the like, and join them with && and ||',
      };
}

/** Why a value must not be an argument, or a part of one after `text`; undefined: it may. */
export function refusedArgument(rule: Rule): QuotingRefusal | undefined {
  switch (rule.kind) {
    case 'none':
      return rule.why;
    case 'printf':
      return { refused: 'is the format of printf, or an option of it', hint: "write printf '%s' {{…}}" };
    case 'set':
      return { refused: 'may be taken for an option of set', hint: 'write set -- {{…}}' };
    case 'texts':
    case 'names':
    case 'test':
      return undefined;
  }
}

// Variables that a shell or the dynamic loader evaluates by itself.
const special = new RegExp(
  `^(${[
    'BASH|BASH_.*|BASHOPTS|BASHPID|SHELLOPTS|SHELL|POSIXLY_CORRECT|LD_.*|PATH|CDPATH|EXECIGNORE|GLOBIGNORE|IFS|ENV|PS[0-9]',
    'PROMPT_COMMAND|PROMPT_DIRTRIM|MAIL|MAILPATH|MAILCHECK|RANDOM|SRANDOM|SECONDS|LINENO|OPTIND|OPTARG|OPTERR|PIPESTATUS',
    'HISTCMD|HISTFILE|HISTSIZE|HISTFILESIZE|HISTCONTROL|HISTIGNORE|HISTTIMEFORMAT|EPOCHSECONDS|EPOCHREALTIME|DIRSTACK',
    'GLIBC_TUNABLES|GCONV_PATH|LOCPATH|NLSPATH|GROUPS|FUNCNAME|FUNCNEST|COMP_.*|COMPREPLY|FCEDIT|INPUTRC|UID|EUID|PPID',
  ].join('|')})$`,
);

export const isSpecial = (name: string): boolean => special.test(name);

/** Whether what follows this beginning of a name could make a special one of it: LD_ can, APP_ cannot. */
export const beginsSpecial = (prefix: string): boolean =>
  !prefix.includes('_') || /^(BASH|LD|PROMPT|COMP|POSIXLY|GLIBC|GCONV)_/.test(prefix);
