import { basename } from 'node:path';
import { builtinNames } from '../../go-template/builtins.ts';
import { type Bytes, bytesOf } from '../../go-template/bytes.ts';
import { isConstant } from '../../go-template/calls.ts';
import { execute, type Print } from '../../go-template/execute.ts';
import { TemplateError } from '../../go-template/template-error.ts';
import { anyType, GoError, GoFunction, type GoValue } from '../../go-template/value.ts';
import { Fault } from '../../model/fault.ts';
import { didYouMean } from '../../model/nearest.ts';
import type { EscapeName } from '../../settings/file-declaration.ts';
import { escapes } from '../escape.ts';
import type { FileTemplate } from '../file-template.ts';
import type { FileView } from '../view.ts';
import { confdFunctions } from './functions.ts';
import { goString, rawTextOf } from './go-string.ts';
import { callsOf, Includes, type ParsedTemplate, parseConfd } from './includes.ts';
import { Lookups } from './lookups.ts';
import type { ConfdMachine } from './machine.ts';
import { ConfdStore, storeFunctions } from './store.ts';
import { utc } from './zone.ts';

/** Functions that read the registry. */
const reading = new Set(['get', 'gets', 'getv', 'getvs', 'ls', 'lsdir', 'cget', 'cgets', 'cgetv', 'cgetvs']);
/** Functions whose answers may change while no key does. */
const changing = /^(lookup|fileExists$)/;
/** How many names one rendering may look up. */
const mostLookups = 1000;

export type ConfdTemplateParts = {
  readonly file: string;
  /** The folder that `include` reads from. */
  readonly folder: string;
  readonly escape: EscapeName;
  readonly machine: ConfdMachine;
};

/** Reads a template of confd. Throws Fault `template` naming `file:line:column`. */
export function loadConfdTemplate({ file, folder, escape: how, machine }: ConfdTemplateParts): FileTemplate {
  const print = printer(how, file);
  const text = machine.readFile(file);
  if (text === undefined) throw new Fault('template', 'there is no such file, or it cannot be read', { where: file });
  const parts = { folder, names: functionNames, readFile: machine.readFile };
  const parsed = orFault(file, () => parseConfd(file, text, functionNames));
  const included = new Includes(parts).of(parsed);
  const called = new Set([parsed, ...included].flatMap(callsOf).map(({ name }) => name));
  let store = new ConfdStore(new Map());
  return {
    sources: [parsed, ...included].map((one) => ({ file: one.file, text: one.text })),
    uses: new Set(['values']),
    changing: [...called].some((name) => changing.test(name)),
    raw: how === 'none' && [...called].some((name) => reading.has(name)),
    render: async (view) => {
      const lookups = new Lookups();
      store = store.of(view.values);
      const includes = new Includes(parts);
      const run = (template: ParsedTemplate, data: GoValue): Bytes =>
        execute(template.templates, bytesOf(basename(template.file)), data, { functions, print });
      const include = new GoFunction(['string'], ([name, data]) => includes.run(String(name), data, run), anyType);
      const functions = new Map([...functionsOf(view, store, lookups, machine), ['include', include]]);
      const once = (): Bytes => orFault(file, () => run(parsed, undefined));
      const done = await lookups.complete(once, machine.resolver, mostLookups);
      if (done !== undefined) return Buffer.from(done.value, 'latin1');
      throw new Fault('template', `it looks up more than ${mostLookups} names`, { where: file });
    },
  };
}

const functionsOf = (
  view: Pick<FileView, 'env'>,
  store: ConfdStore,
  lookups: Pick<Lookups, 'addressesOf' | 'servicesOf'>,
  machine: Pick<ConfdMachine, 'rawEnvironment' | 'now' | 'zone' | 'fileExists' | 'hostname' | 'interfaceAddresses'>,
): Iterable<readonly [string, GoFunction]> => [
  ...confdFunctions({
    ...{
      environment: machine.rawEnvironment(view.env),
      now: machine.now,
      zone: machine.zone,
      fileExists: machine.fileExists,
      hostname: machine.hostname,
    },
    ...{ interfaceAddresses: machine.interfaceAddresses },
    ...{ addressesOf: lookups.addressesOf, servicesOf: lookups.servicesOf },
  }),
  ...storeFunctions(store),
];

const nobody = {
  ...{ rawEnvironment: () => ({}), now: () => ({ unix: 0n }), zone: () => utc },
  ...{ fileExists: () => false, hostname: () => '', interfaceAddresses: () => [] },
};
const functionNames: ReadonlySet<string> = new Set([
  ...[...functionsOf({ env: {} }, new ConfdStore(new Map()), new Lookups(), nobody)].map(([name]) => name),
  'include',
]);

/** Checks what an action prints, unless it stands in the template itself or was checked in an included one. */
function printer(how: EscapeName, file: string): Print | undefined {
  if (how === 'none') return undefined;
  const { write, trail } = escapes[how];
  if (trail !== undefined) {
    throw new Fault('template', `escape = "${how}" writes quotes, which a template of confd has already`, {
      where: file,
      hint: 'use word, haproxy, nginx or line; or write the template as Mustache, NAME.mustache',
    });
  }
  return (text, pipeline) => {
    const [first] = pipeline.commands;
    const operand = first?.operands[0];
    if (isConstant(pipeline) || (operand?.kind === 'identifier' && operand.name === 'include')) return text;
    try {
      return goString(write(rawTextOf(text)));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      throw new GoError(`${error.message}${error.hint === undefined ? '' : ` (${error.hint})`}`);
    }
  };
}

/** Runs `work`; a TemplateError becomes a Fault that names the file, the place and what to do. */
function orFault<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof RangeError && cause.message.includes('string length'))
      throw new Fault('template', 'it makes more than 512 MiB', { where: file, cause });
    if (cause instanceof RangeError) throw new Fault('template', 'it calls itself without end', { where: file, cause });
    if (!(cause instanceof TemplateError)) throw cause;
    const what = cause.message.replace(/^template: [^ ]+:\d+:\d+: /, '');
    throw new Fault('template', what, { where: `${file}:${cause.line}:${cause.column}`, hint: hintFor(what), cause });
  }
}

function hintFor(what: string): string | undefined {
  const unknown = /^function "(.*)" not defined$/.exec(what)?.[1];
  if (unknown !== undefined) return didYouMean(unknown, [...functionNames, ...builtinNames]);
  const key = /key does not exist: (.*)$/.exec(what)?.[1];
  if (key === undefined) return undefined;
  return `put the key, see that \`keys\` of its resource names it, or give a default: {{getv "${key}" "default"}}`;
}
