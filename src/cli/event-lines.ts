import { clausesOf, type LogEvent } from '../model/log-event.ts';
import { printable } from '../model/printable.ts';
import { formatDuration } from '../model/quantity.ts';
import type { TextFormat } from './outputs.ts';
import { wrapText } from './wrap-text.ts';

export type EventFormat = TextFormat & {
  /** The balancer that tells it, where there are several. */
  readonly balancer?: string | undefined;
  /** Shows the fields of the line that the sentence does not have. */
  readonly withFields?: boolean;
};

const indent = 13;
const marks: Readonly<Record<string, string>> = { warn: 'WARN', error: 'ERROR', fatal: 'ERROR' };

/** The fields of a line that make its sentence; `service` and `id` name an instance in the log of register. */
type Told = Omit<LogEvent, 'id'> & { readonly service?: unknown; readonly id?: unknown };

/** A line of the log for a person: its time, the name of the event, and a sentence; what it is made of stands below. */
export function formatEvent(event: Told, { colors, width, balancer, withFields = false }: EventFormat): string {
  const one = printableFields(event);
  const mark = marks[one.level];
  const paint = mark === 'ERROR' ? colors.red : mark === 'WARN' ? colors.yellow : colors.green;
  const sentence = eventSentence(one);
  const details = [
    ...(sentence.includes(`revision ${one.revision}`) || one.revision === undefined
      ? []
      : [`revision ${one.revision}`]),
    ...(one.ms === undefined || timed.has(one.event ?? '') ? [] : [formatDuration(one.ms)]),
    ...Object.entries(one.stages ?? {}).map(([stage, ms]) => `${printable(stage)} ${formatDuration(ms)}`),
    ...(withFields ? fieldsBeside(one, sentence) : []),
  ];
  const head = [
    colors.dim(localTime(one.time)),
    ...(balancer === undefined ? [] : [colors.bold(printable(balancer))]),
    ...(mark === undefined ? [] : [paint(mark)]),
    ...(one.event === undefined ? [] : [paint(one.event)]),
  ].join(' ');
  const lines = [
    `${head}  ${sentence}${details.length === 0 ? '' : colors.dim(` (${details.join(', ')})`)}`.trimEnd(),
    ...clausesOf(one).map((clause) => `${' '.repeat(indent)}${colors.dim(clause)}`),
  ];
  return `${lines.map((line) => wrapText(line, width, indent)).join('\n')}\n`;
}

/** Their sentence has the duration. */
const timed = new Set(['applied', 'reloaded', 'serving']);

/** What happened, in a sentence that has no need of the other fields. The event's fields are printable. */
function eventSentence(told: Told): string {
  const { event, msg = '', revision, ms, reason, line } = told;
  const after = ms === undefined ? '' : ` after ${formatDuration(ms)}`;
  switch (event) {
    case 'applied':
      return `HAProxy serves revision ${revision}${after}`;
    case 'reloaded':
      return `HAProxy was reloaded for revision ${revision}${ms === undefined ? '' : `, in ${formatDuration(ms)}`}`;
    case 'serving':
      return msg + after;
    case 'haproxy-started':
      return msg === '' ? 'HAProxy has started' : msg;
    case 'haproxy':
      return `HAProxy says: ${line ?? msg}`;
  }
  const subject = subjectOf(told);
  const parts = [
    ...(subject === undefined || (msg + (reason ?? '')).includes(subject) ? [] : [subject]),
    ...(msg === '' || msg === event ? [] : [msg]),
    ...(reason === undefined || msg.includes(reason) ? [] : [reason]),
    ...(line === undefined ? [] : [line]),
  ];
  return parts.length === 0 ? msg : parts.join(': ');
}

/** `web/web-1`, or the key of another entry. */
function subjectOf({ key, service, id }: Told): string | undefined {
  if (key !== undefined) return key.replace(/^instances\//, '');
  return typeof service === 'string' && typeof id === 'string' ? `${service}/${id}` : undefined;
}

const known = new Set([
  ...['id', 'time', 'level', 'event', 'msg', 'revision', 'ms', 'stages', 'what', 'reasons', 'differences', 'why'],
  ...['reason', 'key', 'line', 'result', 'changes', 'sinceStartMs'],
]);
const mostListed = 5;

/** The other fields of the line, `name=value`, unless the sentence has the value. */
function fieldsBeside(event: Told, sentence: string): readonly string[] {
  const words = new Set(sentence.split(/[\s/:,;()]+/));
  return Object.entries(event).flatMap(([name, value]) => {
    if (known.has(name) || value === undefined || value === null) return [];
    const text = textOf(value);
    return words.has(text) || sentence.includes(` ${text}`) ? [] : [`${printable(name)}=${text}`];
  });
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) {
    const texts = value.map(textOf);
    return texts.length > mostListed ? `${texts.length} of them` : texts.join(' ');
  }
  return typeof value === 'object' ? printable(JSON.stringify(value)) : printable(String(value));
}

/** A reason may come from HAProxy and have several lines: each event gets a line of its own. */
function printableFields(event: Told): Told {
  const shown = (value: unknown): unknown => {
    if (typeof value === 'string') return printable(value.trim().replace(/\s*\n\s*/g, ' '));
    return Array.isArray(value) ? value.map(shown) : value;
  };
  return { ...event, ...Object.fromEntries(Object.entries(event).map(([name, value]) => [name, shown(value)])) };
}

/** `21:57:14.309`, where this command runs. */
function localTime(time: string): string {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return time.slice(11, 23).padEnd(12);
  const two = (value: number) => String(value).padStart(2, '0');
  const ms = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}
