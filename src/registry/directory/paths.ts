import { join } from 'node:path';
import { accepted, type Parsed, quote, rejected } from '../../model/parsed.ts';

/** Where things are in a directory registry. */
export type DirectoryPaths = {
  readonly root: string;
  /** pointsman's own files. The name begins with a dot, so it can never be a key. */
  readonly own: string;
  /** One file a lease; its mtime is the heartbeat. A folder of its own, so that heartbeats wake no journal watcher. */
  readonly leases: string;
  /** Half-written files; on the same file system as the tree, so that a rename moves them into it at once. */
  readonly temporary: string;
};

export function directoryPaths(root: string): DirectoryPaths {
  const own = join(root, '.pointsman');
  return { root, own, leases: join(own, 'leases'), temporary: join(own, 'temporary') };
}

// "*" is in overrides/<service>/*; the rest is what names of services, instances and free values are made of. A leading
// dot hides a file, a trailing "~" is an editor's backup; neither is a key. 255 is the longest file name on Linux.
const segment = /^[A-Za-z0-9_*@+=,:%-][A-Za-z0-9._*@+=,:%-]{0,254}$/;
const mostSegments = 8;

/** Reads a key as a path below the root: 1 to 8 file names that are safe to make and to show. */
export function parseKeyPath(key: string): Parsed<string> {
  const segments = key.split('/');
  if (segments.length > mostSegments) return rejected(`${quote(key)} has more than ${mostSegments} parts`);
  const bad = segments.find((name) => !segment.test(name));
  return bad === undefined
    ? accepted(key)
    : rejected(`${quote(bad)} is not a name of a key: 1 to 255 of A-Z a-z 0-9 . _ * @ + = , : % -, no dot first`);
}
