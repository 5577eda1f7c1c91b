import { accepted, type Brand, type Parsed, quote, rejected } from './parsed.ts';

/** A service: the name of its backend in HAProxy, of a folder in the directory registry, and the first label of its host. */
export type ServiceName = Brand<string, 'ServiceName'>;

/** One instance within its service: the name of its server in HAProxy. */
export type InstanceId = Brand<string, 'InstanceId'>;

// HAProxy takes letters, digits and "-_.:" in a proxy's or a server's name. The first character is narrower: "_" begins
// pointsman's own proxies, "." would hide a file or climb out of a folder, "-" would read as a flag.
const service = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const instance = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,126}$/;

/** Reads a service's name: 1 to 63 of `A-Za-z0-9._-`, a letter or digit first. */
export function parseServiceName(text: string): Parsed<ServiceName> {
  return service.test(text)
    ? accepted(text as ServiceName)
    : rejected(`${quote(text)} is not a service name: 1 to 63 of A-Z a-z 0-9 . _ -, a letter or digit first`);
}

/** Reads an instance's id: 1 to 127 of `A-Za-z0-9._:-`, a letter or digit first. */
export function parseInstanceId(text: string): Parsed<InstanceId> {
  return instance.test(text)
    ? accepted(text as InstanceId)
    : rejected(`${quote(text)} is not an instance id: 1 to 127 of A-Z a-z 0-9 . _ : -, a letter or digit first`);
}
