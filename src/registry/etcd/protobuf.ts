/**
 * Protocol Buffers as etcd uses them, driven by a description of each message (etcd-protocol.ts). Values look as etcd3's types
 * say: 64-bit numbers are strings, enums are their names, absent fields have their defaults, an absent message is null, and an
 * absent member of a oneof is not there.
 */
type Scalar = 'int64' | 'uint64' | 'bool' | 'string' | 'bytes';
export type Enum = { readonly values: readonly string[] };
export type FieldType = Scalar | Enum | Message;

export type Field = {
  readonly name: string;
  readonly number: number;
  readonly type: FieldType;
  readonly repeated: boolean;
  /** A member of a oneof: it is absent or it counts, even with its default value. */
  readonly oneof: boolean;
};

/** Fields by number. A function, because messages may contain themselves. */
export type Message = { readonly name: string; readonly fields: () => ReadonlyMap<number, Field> };

const varint = 0;
const fixed64 = 1;
const delimited = 2;
const fixed32 = 5;

export function encode(message: Message, value: object): Buffer {
  const chunks: Buffer[] = [];
  for (const field of message.fields().values()) {
    const given: unknown = Reflect.get(value, field.name);
    if (given === undefined || given === null) continue;
    for (const one of field.repeated && Array.isArray(given) ? (given as unknown[]) : [given])
      encodeField(field, one, chunks);
  }
  return Buffer.concat(chunks);
}

function encodeField({ number, type, name }: Field, value: unknown, chunks: Buffer[]): void {
  const tag = (wire: number) => varintOf(BigInt(number * 8 + wire));
  const bytes = (content: Buffer) => chunks.push(tag(delimited), varintOf(BigInt(content.length)), content);
  if (type === 'bool') chunks.push(tag(varint), varintOf(value === true ? 1n : 0n));
  else if (type === 'int64' || type === 'uint64') {
    chunks.push(tag(varint), varintOf(BigInt.asUintN(64, BigInt(value as string | number | bigint))));
  } else if (type === 'string') bytes(Buffer.from(String(value)));
  else if (type === 'bytes') bytes(Buffer.isBuffer(value) ? value : Buffer.from(String(value)));
  else if ('values' in type) {
    const at = type.values.indexOf(String(value));
    if (at < 0) throw new Error(`${String(value)} is no value of ${name}`);
    chunks.push(tag(varint), varintOf(BigInt(at)));
  } else bytes(encode(type, Object(value)));
}

function varintOf(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

/** Reads a message whole. Throws when the bytes are not one. */
export function decode(message: Message, bytes: Buffer): Record<string, unknown> {
  return new Reader(bytes).message(message, bytes.length);
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  message(message: Message, end: number): Record<string, unknown> {
    const fields = message.fields();
    const value: Record<string, unknown> = {};
    for (const field of fields.values()) if (!field.oneof) value[field.name] = defaultOf(field);
    while (this.#at < end) {
      const tag = Number(this.#varint());
      const field = fields.get(tag >>> 3);
      if (field === undefined) {
        this.#skip(tag & 7);
        continue;
      }
      const read = this.#value(field, tag & 7);
      if (field.repeated) (value[field.name] as unknown[]).push(read);
      else value[field.name] = read;
    }
    if (this.#at !== end) throw new Error(`a ${message.name} of etcd's ends in the middle of a field`);
    return value;
  }

  #value({ type, name }: Field, wire: number): unknown {
    const isDelimited = type === 'string' || type === 'bytes' || (typeof type === 'object' && 'fields' in type);
    if (wire !== (isDelimited ? delimited : varint)) throw new Error(`etcd sent ${name} with wire type ${wire}`);
    if (type === 'bool') return Number(this.#varint()) !== 0;
    if (type === 'uint64') return String(this.#varint());
    if (type === 'int64') {
      const value = this.#varint();
      return String(typeof value === 'bigint' ? BigInt.asIntN(64, value) : value);
    }
    if (typeof type === 'object' && 'values' in type) {
      const value = Number(this.#varint());
      return type.values[value] ?? value;
    }
    const end = this.#end(Number(this.#varint()));
    if (typeof type === 'object') return this.message(type, end);
    const slice = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return type === 'string' ? slice.toString('utf8') : slice;
  }

  #end(length: number): number {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new Error('a message of etcd is cut off');
    return end;
  }

  /** A number while it is exact, which nearly all are. */
  #varint(): number | bigint {
    let low = 0;
    for (let shift = 1; shift <= 2 ** 42; shift *= 128) {
      const byte = this.#byte();
      low += (byte & 0x7f) * shift;
      if (byte < 0x80) return low;
    }
    let value = BigInt(low);
    for (let shift = 49n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new Error('etcd sent a number of more than 64 bits');
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new Error('a message of etcd is cut off');
    this.#at += 1;
    return byte;
  }

  #skip(wire: number): void {
    if (wire === varint) this.#varint();
    else if (wire === fixed64) this.#at = this.#end(8);
    else if (wire === delimited) this.#at = this.#end(Number(this.#varint()));
    else if (wire === fixed32) this.#at = this.#end(4);
    else throw new Error(`etcd sent a field of wire type ${wire}`);
  }
}

const none = Buffer.alloc(0);

function defaultOf({ type, repeated }: Field): unknown {
  if (repeated) return [];
  if (type === 'bool') return false;
  if (type === 'string') return '';
  if (type === 'bytes') return none;
  if (type === 'int64' || type === 'uint64') return '0';
  return 'values' in type ? type.values[0] : null;
}
