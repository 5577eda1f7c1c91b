import { isMap, isScalar, isSeq, Scalar } from 'yaml';
import { quote } from '../model/parsed.ts';
import { rawText } from '../model/raw-text.ts';
import { deepest, type Report, sourceOf, type YamlNodes } from './yaml-nodes.ts';

const jsonNumber = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** The compact JSON of a node, with its names in their order. Undefined: what is wrong was reported. */
export function jsonOf(nodes: YamlNodes, report: Report, given: unknown, depth = 0): string | undefined {
  if (depth > deepest) {
    report(given, `it is nested more than ${deepest} deep`);
    return undefined;
  }
  const node = nodes.resolve(given);
  if (node === undefined) return undefined;
  if (node === null) return 'null';
  if (isScalar(node)) return jsonOfScalar(node, report);
  if (isSeq(node)) {
    const items = node.items.map((item) => jsonOf(nodes, report, item, depth + 1));
    return items.includes(undefined) ? undefined : `[${items.join(',')}]`;
  }
  if (!isMap(node)) return undefined;
  const fields = nodes.named(node).map(({ name, node: value }) => {
    const json = jsonOf(nodes, report, value, depth + 1);
    return json && `${JSON.stringify(name)}:${json}`;
  });
  return fields.includes(undefined) ? undefined : `{${fields.join(',')}}`;
}

function jsonOfScalar(scalar: Scalar, report: Report): string | undefined {
  const { value, source, type } = scalar;
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return JSON.stringify(value);
  if (typeof value === 'number') {
    // As it is written: a number of 20 digits would lose some of them.
    if (type === Scalar.PLAIN && source !== undefined && jsonNumber.test(source)) return source;
    if (Number.isFinite(value)) return JSON.stringify(value);
  }
  report(scalar, `${quote(source ?? '')} is no value that JSON has`, { hint: 'quote it to make it a string' });
  return undefined;
}

/** The text of a scalar, for a value that is a text. Undefined: what is wrong was reported. */
export function textOfScalar(scalar: Scalar, report: Report): string | undefined {
  const { value, source, type } = scalar;
  if (value instanceof Uint8Array) {
    const isBase64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(
      (source ?? '').replace(/\s/g, ''),
    );
    if (isBase64) return rawText(Buffer.from(value));
    report(scalar, 'it is not base64');
    return undefined;
  }
  if (value === null) {
    const hint =
      source === '' || source === undefined
        ? 'write "" for an empty text'
        : `write ${JSON.stringify(source)} for the text, or "" for an empty one`;
    report(scalar, 'it has no value', { hint });
    return undefined;
  }
  const text = sourceOf(scalar);
  if (text === undefined || (typeof value === 'object' && type !== Scalar.PLAIN)) {
    report(scalar, 'it is no text', { hint: 'quote it' });
    return undefined;
  }
  if (!/\p{Cs}/u.test(text)) return text;
  report(scalar, 'it contains half of a surrogate pair, which is no character', { hint: 'use !!binary for bytes' });
  return undefined;
}
