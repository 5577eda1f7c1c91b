import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { freePorts } from './ports.ts';
import { until } from './until.ts';

/** Why there is none here; undefined where there is one. */
export async function whyNoBind(): Promise<string | undefined> {
  const tools = [execa('named', ['-v'], { reject: false }), execa('nsupdate', ['-V'], { reject: false })];
  const [named, nsupdate] = await Promise.all(tools);
  if (named?.exitCode !== 0) return 'BIND is not installed (bind9)';
  return nsupdate?.exitCode === 0 ? undefined : 'nsupdate is not installed (bind9-dnsutils)';
}

/** A real BIND that has one zone, where each name is 127.0.0.1, and takes updates with a key (RFC 2136, TSIG). */
export async function startBind(zone: string) {
  const dir = await mkdtemp(join(tmpdir(), 'pm-bind-'));
  const [port = 0] = await freePorts(1);
  const keyFile = join(dir, 'update.key');
  const { stdout: key } = await execa('tsig-keygen', ['-a', 'hmac-sha256', 'pointsman']);
  await writeFile(keyFile, `${key}\n`);
  await writeFile(
    join(dir, 'zone.db'),
    [
      `$ORIGIN ${zone}.`,
      '$TTL 1',
      '@ SOA ns hostmaster 1 60 60 60 1',
      '@ NS ns',
      'ns A 127.0.0.1',
      '* A 127.0.0.1',
      '@ A 127.0.0.1',
      '',
    ].join('\n'),
  );
  const listening = `port ${port} { 127.0.0.1; }`;
  await writeFile(
    join(dir, 'named.conf'),
    [
      `include "${keyFile}";`,
      `options { directory "${dir}"; pid-file none; session-keyfile none; listen-on ${listening}; listen-on-v6 { none; };`,
      '  recursion no; dnssec-validation no; allow-query { any; }; };',
      'controls { };',
      `zone "${zone}" { type primary; file "zone.db"; allow-update { key "pointsman"; }; };`,
      '',
    ].join('\n'),
  );
  const output: string[] = [];
  const child = spawn('named', ['-g', '-c', join(dir, 'named.conf')], { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => output.push(String(part)));
  const server = `127.0.0.1:${port}`;
  await until('BIND answers', () => {
    if (child.exitCode !== null) throw new Error(output.join(''));
    return output.some((line) => line.includes('running'));
  });
  return {
    server,
    keyFile,
    output: (): string => output.join(''),
    async close(): Promise<void> {
      const gone = new Promise((resolve) => child.once('close', resolve));
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await gone;
      }
      await rm(dir, { recursive: true, force: true });
    },
  };
}
