import { type ChildProcess, spawn } from 'node:child_process';
import { type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exchange } from '../../src/acme/protocol/exchange.ts';
import { signRequest } from '../../src/acme/protocol/jws.ts';
import { timeLimit } from '../../src/waiting/time-limit.ts';
import { startAuthorityProxy } from './authority-proxy.ts';
import { makeAuthority } from './certificates.ts';
import { freePorts } from './ports.ts';
import { until } from './until.ts';
import { startValidators } from './validators.ts';

export type PebbleOptions = {
  /** How long its certificates are valid; five years otherwise. */
  readonly validitySeconds?: number;
  /** How many of a hundred good nonces it refuses. */
  readonly nonceRejects?: number;
  /** Wants external account binding, with this key (base64url) for the account `kid`. */
  readonly eab?: { readonly kid: string; readonly key: string };
  /** A nameserver instead of the one that has an address for each name. */
  readonly nameserver?: string;
};

/**
 * A real ACME authority: pebble, behind a proxy that makes the faults of authorities. It resolves each name to 127.0.0.1, and
 * asks the validators, which ask every balancer.
 */
export async function startPebble(options: PebbleOptions = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'pm-pebble-'));
  const [port = 0, management = 0, dnsManagement = 0, dns = 0, tlsPort = 0, httpPort = 0] = await freePorts(6);
  const own = await makeAuthority(join(dir, 'tls'));
  const { certFile, keyFile } = await own.issue('localhost', 1, ['localhost']);
  const { validitySeconds, eab } = options;
  const config = {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${management}`,
    certificate: certFile,
    privateKey: keyFile,
    httpPort,
    tlsPort,
    ocspResponderURL: '',
    externalAccountBindingRequired: eab !== undefined,
    ...(eab === undefined ? {} : { externalAccountMACKeys: { [eab.kid]: eab.key } }),
    ...(validitySeconds === undefined ? {} : { certificateValidityPeriod: validitySeconds }),
  };
  await writeFile(join(dir, 'pebble.json'), JSON.stringify({ pebble: config }));

  const output: string[] = [];
  const run = (command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (part: Buffer) => output.push(String(part)));
    return child;
  };
  const end = async (child: ChildProcess): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await gone;
  };
  const startIt = async (): Promise<ChildProcess> => {
    const nameserver = options.nameserver ?? `127.0.0.1:${dns}`;
    const child = run('pebble', ['-config', join(dir, 'pebble.json'), '-dnsserver', nameserver], {
      PEBBLE_VA_NOSLEEP: '1',
      PEBBLE_WFE_NONCEREJECT: String(options.nonceRejects ?? 0),
      // Otherwise half of the orders of a known name have no challenge.
      PEBBLE_AUTHZREUSE: '0',
    });
    await until('pebble answers', () => askHttps(port, '/dir', own.caFile), { everyMs: 30 });
    return child;
  };

  const names = run('pebble-challtestsrv', [
    ...['-management', `127.0.0.1:${dnsManagement}`, '-dns01', `127.0.0.1:${dns}`, '-defaultIPv6', ''],
    ...['-http01', '', '-https01', '', '-tlsalpn01', '', '-defaultIPv4', '127.0.0.1'],
  ]);
  const validators = await startValidators(httpPort);
  let pebble = await startIt();
  const proxy = await startAuthorityProxy({ port, caFile: own.caFile, certFile, keyFile });
  return {
    dir,
    directory: `https://localhost:${proxy.port}/dir`,
    /** Proves the authority's own HTTPS. */
    caFile: own.caFile,
    validators,
    ...proxy.faults,
    /** What pebble and its nameserver printed. */
    output: (): string => output.join(''),
    /** The flags of a balancer that orders certificates here. */
    flags: ['--acme', `https://localhost:${proxy.port}/dir`, '--acme-ca', own.caFile],
    /** The root (PEM) of the certificates that it issues: another with each start. */
    root: () => askHttps(management, '/roots/0', own.caFile),
    /** Revokes a certificate (PEM) with its own private key, as whoever has the key can (RFC 8555, section 7.6). */
    async revoke(certificate: string, key: KeyObject): Promise<void> {
      const agent = new Agent({ ca: readFileSync(own.caFile) });
      const ask = (method: 'HEAD' | 'POST', path: string, body?: string) =>
        exchange(
          { method, url: `https://localhost:${port}${path}`, ...(body === undefined ? {} : { body }) },
          agent,
          timeLimit(5000),
        );
      const nonce = (await ask('HEAD', '/nonce-plz')).header('replay-nonce') ?? '';
      const url = `https://localhost:${port}/revoke-cert`;
      const der = new X509Certificate(certificate).raw.toString('base64url');
      const answer = await ask(
        'POST',
        '/revoke-cert',
        JSON.stringify(signRequest({ certificate: der }, { url, nonce, account: undefined }, key)),
      );
      agent.destroy();
      if (answer.status !== 200) throw new Error(`pebble revokes nothing: ${answer.text}`);
    },
    /** `Valid` or `Revoked`. */
    statusOf: async (certificate: string): Promise<string> => {
      const serial = new X509Certificate(certificate).serialNumber.toLowerCase();
      const status = await askHttps(management, `/cert-status-by-serial/${serial}`, own.caFile);
      return JSON.parse(status ?? '{}').Status;
    },
    /** Where its nameserver takes changes, such as `set-txt` and `clear-txt`. */
    nameserverControl: `http://127.0.0.1:${dnsManagement}`,
    /** Starts it again: it has forgotten its accounts, orders and certificates, and has another root. */
    async forgetEverything(): Promise<void> {
      await end(pebble);
      pebble = await startIt();
    },
    async close(): Promise<void> {
      await proxy.close();
      await validators.close();
      await Promise.all([end(pebble), end(names)]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The body of an answer with status 200; undefined otherwise. */
function askHttps(port: number, path: string, caFile: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const req = request({ host: 'localhost', port, path, ca: readFileSync(caFile), agent: false }, (res) => {
      let body = '';
      res.setEncoding('utf8').on('data', (part: string) => {
        body += part;
      });
      res.on('error', reject).on('end', () => resolve(res.statusCode === 200 ? body : undefined));
    });
    req.on('error', reject).setTimeout(5000, () => req.destroy(new Error('no answer')));
    req.end();
  });
}
