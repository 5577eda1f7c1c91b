import { createSocket } from 'node:dgram';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, onTestFinished, test } from 'vitest';
import { probeListeners } from '../../src/haproxy/bind-probe.ts';
import { listenersIn, toBeTried } from '../../src/haproxy/listeners.ts';
import { haproxyBin } from '../support/balancer.ts';
import { freePort } from '../support/ports.ts';
import { until } from '../support/until.ts';

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'pm-probe-'));
  onTestFinished(() => rm(made, { recursive: true, force: true }));
  return made;
}

/** Which addresses of this configuration HAProxy cannot have. */
async function unbindable(config: string, ours: (pid: number) => boolean = () => false) {
  const file = join(await folder(), 'probe.cfg');
  const listeners = toBeTried(listenersIn(config, 'here'), []);
  const found = await probeListeners(haproxyBin, file, listeners, config, async (pid) => ours(pid));
  return found.map(({ line, text }) => ({ line, text })).sort((a, b) => a.line - b.line);
}

async function takenTcp(): Promise<number> {
  const port = await freePort();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return port;
}

async function takenUdp(): Promise<number> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  onTestFinished(() => void socket.close());
  return socket.address().port;
}

test('an address that somebody else has is found in every section, within conditions, and for UDP', async () => {
  const tcp = await Promise.all(Array.from({ length: 5 }, takenTcp));
  const udp = await Promise.all([takenUdp(), takenUdp()]);
  const unused = await takenTcp();
  const config = `global
    stats socket 127.0.0.1:${tcp[0]} level user
peers p
    bind 127.0.0.1:${tcp[1]}
peers q
    peer here 127.0.0.1:${tcp[2]}
log-forward l
    bind 127.0.0.1:${tcp[3]}
    dgram-bind 127.0.0.1:${udp[0]}
frontend f
    .if defined(PATH)
    bind 127.0.0.1:${tcp[4]}
    .else
    bind 127.0.0.1:${unused}
    .endif
    bind quic4@127.0.0.1:${udp[1]} ssl crt /nothing
`;
  const found = await unbindable(config);
  expect(found.map(({ line }) => line)).toEqual([2, 4, 6, 8, 9, 12, 16]);
  for (const { text } of found) expect(text).toMatch(/ it is in use by \S+ \(process \d+\)$/);
});

test('a port that another program of the same user would share is in use, but not one of an HAProxy of this folder', async () => {
  const port = await freePort();
  const dir = await folder();
  const other = `defaults\n    timeout client 1s\n    timeout connect 1s\n    timeout server 1s\nfrontend other\n    bind 127.0.0.1:${port}\n`;
  await writeFile(join(dir, 'other.cfg'), other);
  const running = execa(haproxyBin, ['-db', '-f', join(dir, 'other.cfg')], { reject: false });
  onTestFinished(async () => {
    running.kill('SIGTERM');
    await running;
  });
  const config = `frontend f\n    bind 127.0.0.1:${port}\n`;
  await until('the other one listens', async () => (await unbindable(config)).length === 1);
  expect(await unbindable(config)).toMatchObject([
    { line: 2, text: expect.stringContaining('it is in use by haproxy') },
  ]);
  expect(await unbindable(config, (pid) => pid === running.pid)).toEqual([]);
});
