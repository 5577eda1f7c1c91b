// The bytes of gRPC's health checking protocol. HAProxy has no check for it, and its HTTP check cannot send
// a body with a NUL in it, as every gRPC message begins; so the whole HTTP/2 conversation is sent as bytes.

/** `grpc.health.v1.HealthCheckResponse{status: SERVING}`, as a gRPC message, in hexadecimal. */
export const grpcServing = '00000000020801';

/** The bytes that a client sends, from the connection's first byte on, to ask for the health of a service or of the whole server. */
export function grpcCheckRequest(service: string | undefined, tls: boolean): string {
  const message = service === undefined ? [] : [0x0a, ...text(service)];
  const headers = [
    0x83, // :method POST
    tls ? 0x87 : 0x86, // :scheme
    ...[0x04, ...text('/grpc.health.v1.Health/Check')], // :path
    ...[0x01, ...text('localhost')], // :authority
    ...[0x0f, 0x10, ...text('application/grpc')], // content-type
    ...[0x00, ...text('te'), ...text('trailers')],
  ];
  return Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    frame({ type: 4, flags: 0, stream: 0 }, []), // SETTINGS, none
    frame({ type: 1, flags: 4, stream: 1 }, headers), // HEADERS, END_HEADERS
    frame({ type: 0, flags: 1, stream: 1 }, [0, 0, 0, 0, message.length, ...message]), // DATA, END_STREAM
  ]).toString('hex');
}

/** A length of up to 127 and the text: how both HPACK and protobuf write a string. */
const text = (ascii: string): readonly number[] => [ascii.length, ...Buffer.from(ascii)];

/** RFC 9113, 4.1. */
function frame(head: { type: number; flags: number; stream: number }, payload: readonly number[]): Buffer {
  const bytes = Buffer.alloc(9);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes.writeUInt8(head.type, 3);
  bytes.writeUInt8(head.flags, 4);
  bytes.writeUInt32BE(head.stream, 5);
  return Buffer.concat([bytes, Buffer.from(payload)]);
}
