import { join } from 'node:path';
import { ask } from '../test/support/ask.ts';
import { until } from '../test/support/until.ts';
import { instructionsOf } from './callgrind.ts';
import { askAll } from './h2load.ts';
import { type RequestFiles, requested } from './request-ways.ts';

const host = 'www.example.com';

/** HAProxy itself, by a command that valgrind can run: the loader of a `scripts/debian-root`, where there is one. */
export const haproxyCommand = (root: string | undefined): readonly string[] =>
  root === undefined
    ? ['haproxy']
    : [
        join(root, 'lib64/ld-linux-x86-64.so.2'),
        ...['--library-path', join(root, 'usr/lib/x86_64-linux-gnu'), join(root, 'usr/sbin/haproxy')],
      ];

/** Instructions in user space for each of 1,000 requests of one client over h1. HAProxy has one thread. */
export async function countInstructions(command: readonly string[], dir: string, files: RequestFiles): Promise<number> {
  const target = { port: files.http, protocol: 'h1', host, path: requested[files.kind] } as const;
  const serves = async () => (await ask(files.http, host, target.path)).status === 200;
  return instructionsOf(command, files.config, dir, {
    ready: () => until('HAProxy serves under valgrind', serves, { deadlineMs: 120_000 }),
    ask: (requests) => askAll(target, requests, 1),
  });
}
