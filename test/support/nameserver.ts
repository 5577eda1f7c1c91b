import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { onTestFinished } from 'vitest';
import { until } from './until.ts';

/** The records that it has: addresses of names, and SRV records as `host:port`. No other name exists. */
export type Zone = {
  readonly addresses?: Readonly<Record<string, readonly string[]>>;
  readonly services?: Readonly<Record<string, readonly string[]>>;
  /** It never answers for names in this domain. */
  readonly silentFor?: string;
};

/** Why none can be had here; undefined where one can. */
export async function whyNoNameserver(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root may listen on port 53 and make a mount namespace';
  const [dnsmasq, unshare] = await Promise.all([
    execa('dnsmasq', ['--version'], { reject: false }),
    execa('unshare', ['--mount', 'true'], { reject: false }),
  ]);
  if (dnsmasq.exitCode !== 0) return 'dnsmasq is not installed (dnsmasq-base)';
  return unshare.exitCode === 0 ? undefined : `no mount namespace: ${unshare.stderr}`;
}

// An address that no other process uses: the whole of 127.0.0.0/8 is this machine.
const randomLoopback = (): string => `127.${randomInt(16, 250)}.${randomInt(1, 250)}.${randomInt(1, 200)}`;

/** A real nameserver on an address of its own, with the first zone. Gone when the test is finished. */
export async function startNameserver(first: Zone) {
  const dir = await mkdtemp(join(tmpdir(), 'pm-dns-'));
  const address = randomLoopback();
  const resolvConf = join(dir, 'resolv.conf');
  await writeFile(resolvConf, `nameserver ${address}\noptions timeout:1 attempts:1\n`);
  let child: ChildProcess | undefined;
  let silent: Socket | undefined;
  let unanswered = 0;
  const stop = async () => {
    silent?.close();
    silent = undefined;
    const ending = child;
    child = undefined;
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
    const gone = new Promise((resolve) => ending.once('close', resolve));
    ending.kill('SIGKILL');
    await gone;
  };
  /** Takes questions and answers none. */
  const openSilence = async (port: number) => {
    const socket = createSocket('udp4');
    silent = socket;
    socket.on('message', () => {
      unanswered += 1;
    });
    await new Promise<void>((resolve) => socket.bind(port, address, resolve));
    return `${address}#${socket.address().port}`;
  };
  const serve = async (zone: Zone) => {
    await stop();
    const options = ['--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--user=root'];
    const listening = ['--bind-interfaces', `--listen-address=${address}`, '--pid-file=', '--local=/#/'];
    const names = Object.entries(zone.addresses ?? {}).flatMap(([name, list]) =>
      list.map((one) => `--host-record=${name},${one}`),
    );
    const services = Object.entries(zone.services ?? {}).flatMap(([name, list]) =>
      list.map((one) => `--srv-host=${name},${one.replace(/:(\d+)$/, ',$1')}`),
    );
    const nobody = zone.silentFor === undefined ? [] : [`--server=/${zone.silentFor}/${await openSilence(0)}`];
    child = spawn('dnsmasq', [...options, ...listening, ...names, ...services, ...nobody], { stdio: 'ignore' });
    const resolver = new Resolver({ timeout: 500, tries: 1 });
    resolver.setServers([address]);
    await until('the nameserver answers', () =>
      resolver.resolve4('nothing.test').then(
        () => true,
        (error: { code?: string }) => error.code === 'ENOTFOUND',
      ),
    );
  };
  onTestFinished(async () => {
    await stop();
    await rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  });
  await serve(first);
  return {
    /** Starts it again with another zone. */
    serve,
    stop,
    /** From now on it takes questions and answers none, until it serves again. */
    silence: async () => {
      await stop();
      await openSilence(53);
    },
    /** The number of questions that got no answer. */
    unanswered: () => unanswered,
    /** A command line that runs the one after it where this nameserver is the only one. */
    through: [
      ...['unshare', '--mount', '--propagation', 'private', 'sh', '-ec'],
      ...['mount --bind "$0" "$(readlink -f /etc/resolv.conf)"; exec "$@"', resolvConf],
    ],
    /** Addresses of this machine that nobody else has. */
    loopback: (count: number): string[] =>
      Array.from({ length: count }, (_, i) => address.replace(/\d+$/, (last) => String(Number(last) + 1 + i))),
  };
}
