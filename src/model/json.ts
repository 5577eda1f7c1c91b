import { accepted, type Parsed, quote, rejected } from './parsed.ts';

// Ours need three levels. A value of brackets alone parses well and then exhausts the stack of whoever walks it.
const deepest = 16;

/**
 * Parses a JSON object into a Map, in which `__proto__` is a key like any other. A name that is given twice is refused:
 * programs differ in which of the two they take.
 */
export function parseRecord(text: string): Parsed<ReadonlyMap<string, unknown>> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    // V8 quotes the text around, and a policy may hold a password there.
    const place = placeOf(text, jsonFlawAt(text, error));
    return rejected(`it is not JSON: see ${place}`);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return rejected('it is not a JSON object');
  const flaw = findFlaw(text);
  return flaw === undefined ? accepted(new Map(Object.entries(json))) : rejected(flaw);
}

/** Where a text ceases to be JSON, given what `JSON.parse` threw; its end where something is missing there. */
export function jsonFlawAt(text: string, error: unknown): number {
  const message = error instanceof Error ? error.message : '';
  // V8: "Unexpected token } in JSON at position 17"; newer ones leave the position out where the text is short.
  const position = /at position (\d+)/.exec(message)?.[1];
  if (position !== undefined) return Number(position);
  if (!message.startsWith('Unexpected token') || text.length > 256) return text.trimEnd().length;
  for (let end = 1; end <= text.length; end += 1) {
    try {
      JSON.parse(text.slice(0, end));
    } catch (cause) {
      const more = cause instanceof Error ? cause.message : '';
      if (more.startsWith('Unexpected token')) return end - 1;
    }
  }
  return text.trimEnd().length;
}

function placeOf(text: string, index: number): string {
  const before = text.slice(0, index);
  return `line ${before.split('\n').length}, column ${index - before.lastIndexOf('\n')}`;
}

/** Finds JSON that `JSON.parse` accepts and pointsman refuses. `text` is JSON, so only strings have to be told from the rest. */
function findFlaw(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  let latest = '';
  for (let at = 0; at < text.length; at += 1) {
    switch (text[at]) {
      case '{':
      case '[':
        open.push(text[at] === '{' ? new Set() : undefined);
        if (open.length > deepest) return `it is nested more than ${deepest} levels deep`;
        break;
      case '}':
      case ']':
        open.pop();
        break;
      case '"': {
        const end = endOfString(text, at);
        latest = text.slice(at, end);
        at = end - 1;
        break;
      }
      case ':': {
        const name: unknown = JSON.parse(latest);
        const names = open.at(-1);
        if (typeof name !== 'string' || names === undefined) break;
        if (names.has(name)) return `${quote(name)} is given twice`;
        names.add(name);
      }
    }
  }
  return undefined;
}

/** The index after the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}
