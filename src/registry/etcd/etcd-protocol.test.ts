import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { methods } from './etcd-protocol.ts';
import { decode, encode, type FieldType, type Message } from './protobuf.ts';

// etcd3's own files, by the parser that it uses.
const folder = join(dirname(createRequire(import.meta.url).resolve('etcd3/package.json')), 'proto');
const root = new protobuf.Root().loadSync(join(folder, 'rpc.proto'), { keepCase: true });
root.resolveAll();

/** Every message that a method takes or gives, and what these contain. */
function reachable(): readonly Message[] {
  const found = new Map<string, Message>();
  const visit = (message: Message) => {
    if (found.has(message.name)) return;
    found.set(message.name, message);
    for (const { type } of message.fields().values()) if (typeof type === 'object' && 'fields' in type) visit(type);
  };
  for (const { request, response } of Object.values(methods)) {
    visit(request);
    visit(response);
  }
  return [...found.values()];
}

const nameOf = (type: FieldType): unknown =>
  typeof type === 'string' ? type : 'fields' in type ? type.name : [...type.values];

const messages = reachable();

describe('what is spoken with etcd is what etcd3 has in its files', () => {
  test.each(messages.map((message) => [message.name, message] as const))('%s', (name, message) => {
    const type = root.lookupType(name);
    const theirs = type.fieldsArray.map(({ id, name: field, type: scalar, resolvedType, repeated, partOf }) => ({
      number: id,
      name: field,
      type:
        resolvedType instanceof protobuf.Enum
          ? Object.keys(resolvedType.values)
          : resolvedType === null
            ? scalar
            : resolvedType.name,
      repeated,
      oneof: partOf !== null,
    }));
    const ours = [...message.fields().values()].map((field) => ({ ...field, type: nameOf(field.type) }));
    expect(theirs).toEqual(expect.arrayContaining(ours));
  });

  test.each(Object.values(methods).map((method) => [method.path, method] as const))('%s', (path, method) => {
    const [service = '', name = ''] = path.split('.')[1]?.split('/') ?? [];
    const theirs = root.lookupService(service).methods[name];
    expect(theirs).toMatchObject({ requestType: method.request.name, responseType: method.response.name });
  });
});

const number64 = fc.oneof(
  fc.constantFrom(0n, 127n, 128n, 2n ** 49n, 2n ** 53n, 2n ** 63n - 1n),
  fc.bigInt(0n, 2n ** 63n - 1n),
);

/** Values of a message; those that contain themselves end at some depth. */
function valuesOf(message: Message, depth = 0): fc.Arbitrary<Record<string, unknown>> {
  const fields = [...message.fields().values()].filter(
    ({ type }) => typeof type === 'string' || depth < 4 || 'values' in type,
  );
  const all = fields.map((field) => {
    const { type } = field;
    const one: fc.Arbitrary<unknown> =
      type === 'bool'
        ? fc.boolean()
        : type === 'string'
          ? fc.string({ unit: 'grapheme' })
          : type === 'bytes'
            ? fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
            : type === 'int64'
              ? fc
                  .oneof(
                    number64,
                    number64.map((value) => -value),
                  )
                  .map(String)
              : type === 'uint64'
                ? number64.map((value) => String(value * 2n))
                : 'values' in type
                  ? fc.constantFrom(...type.values)
                  : valuesOf(type, depth + 1);
    return [field.name, fc.option(field.repeated ? fc.array(one, { maxLength: 3 }) : one, { nil: undefined })] as const;
  });
  return fc.record(Object.fromEntries(all)).map((value) => {
    // Of a oneof there is one.
    const chosen = fields.filter(({ oneof, name }) => oneof && value[name] !== undefined).at(-1)?.name;
    return Object.fromEntries(
      Object.entries(value).filter(
        ([name, one]) => one !== undefined && (name === chosen || !fieldOf(fields, name).oneof),
      ),
    );
  });
}

const fieldOf = (fields: readonly { name: string; oneof: boolean }[], name: string) =>
  fields.find((field) => field.name === name) ?? { oneof: false };

describe('messages', () => {
  test.each(messages.map((message) => [message.name, message] as const))(
    '%s: each reads what the other writes',
    (name, message) => {
      const type = root.lookupType(name);
      const asTheyRead = (bytes: Uint8Array) =>
        type.toObject(type.decode(bytes), { longs: String, enums: String, defaults: true, arrays: true });
      fc.assert(
        fc.property(valuesOf(message), (value) => {
          const ours = encode(message, value);
          const theirs = Buffer.from(type.encode(type.fromObject(value)).finish());
          expect(plain(asTheyRead(theirs))).toMatchObject(Object(plain(decode(message, theirs))));
          expect(plain(asTheyRead(ours))).toEqual(plain(asTheyRead(theirs)));
        }),
        { numRuns: 50 },
      );
    },
  );

  test('that are cut off are refused, whatever is left of them', () => {
    const { response } = methods.range;
    fc.assert(
      fc.property(valuesOf(response), fc.nat(), (value, at) => {
        const bytes = encode(response, value);
        fc.pre(bytes.length > 0);
        const part = bytes.subarray(0, at % bytes.length);
        // A cut between two fields leaves a message.
        try {
          decode(response, part);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
    );
    expect(() => decode(response, Buffer.from([0x0a, 0x05, 0x01]))).toThrow('cut off');
  });
});

/** Bytes as text, whoever's they are; without what protobufjs adds. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
}
