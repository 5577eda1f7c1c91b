import type { Bytes } from '../../go-template/bytes.ts';

/** path.Clean of Go: the shortest name of the same path. */
export function clean(path: Bytes): Bytes {
  if (path === '') return '.';
  const rooted = path.startsWith('/');
  const kept: Bytes[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') kept.push(part);
    else if (kept.length > 0 && kept.at(-1) !== '..') kept.pop();
    else if (!rooted) kept.push('..');
  }
  return `${rooted ? '/' : ''}${kept.join('/')}` || '.';
}

/** path.Base of Go. */
export function base(path: Bytes): Bytes {
  if (path === '') return '.';
  const bare = path.replace(/\/+$/, '');
  return bare === '' ? '/' : bare.slice(bare.lastIndexOf('/') + 1);
}

/** path.Dir of Go. */
export const dir = (path: Bytes): Bytes => clean(path.slice(0, path.lastIndexOf('/') + 1));
