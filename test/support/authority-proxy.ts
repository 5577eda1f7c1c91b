import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, request } from 'node:https';
import { until } from './until.ts';

/** The steps of an order as pebble's addresses tell them. */
const stages = {
  directory: '/dir',
  nonce: '/nonce-plz',
  account: '/sign-me-up',
  order: '/order-plz',
  authorization: '/authZ/',
  challenge: '/chalZ/',
  poll: '/my-order/',
  finalize: '/finalize-order/',
  certificate: '/certZ/',
  revocation: '/revoke-cert',
} as const;

type Stage = keyof typeof stages;

/** A request that reached the authority. */
export type Asked = { readonly stage: Stage | undefined; readonly hosts: readonly string[]; readonly at: number };

type Window = { readonly start: string; readonly end: string };

type Target = { readonly port: number; readonly caFile: string; readonly certFile: string; readonly keyFile: string };
type Refusal = {
  readonly status: number;
  readonly type: string;
  readonly retryAfter?: string;
  readonly hosts?: readonly string[];
};

/** What it does to requests now. */
type Faults = {
  down: boolean;
  delayMs: number;
  refusals: Map<Stage, Refusal>;
  held: Map<Stage, (() => void)[]>;
  advice: ((id: string) => Window) | undefined;
};

/** An HTTPS proxy before pebble (it makes its addresses of the Host header) that does what authorities do on a bad day. */
export async function startAuthorityProxy(target: Target) {
  const faults: Faults = { down: false, delayMs: 0, refusals: new Map(), held: new Map(), advice: undefined };
  const asked: Asked[] = [];
  const agent = new Agent({ ca: readFileSync(target.caFile), keepAlive: true });
  const tls = { cert: readFileSync(target.certFile), key: readFileSync(target.keyFile) };
  const server = createServer(tls, (req, res) => {
    void readBody(req).then(
      (body) => answer(req, res, body, { target, agent, faults, asked }),
      () => res.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a listening server has a port');
  return {
    port: address.port,
    faults: controls(faults, asked, () => server.closeAllConnections()),
    close: () =>
      new Promise<void>((resolve) => {
        for (const waiting of faults.held.values()) for (const go of waiting) go();
        agent.destroy();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function controls(faults: Faults, asked: readonly Asked[], cut: () => void) {
  return {
    /** Requests that reached it, in their order. */
    asked: (stage?: Stage): readonly Asked[] => asked.filter((one) => stage === undefined || one.stage === stage),
    /** How many orders were made for this host. */
    ordersOf: (host: string): number =>
      asked.filter(({ stage, hosts }) => stage === 'order' && hosts.includes(host)).length,
    /** Ends each connection without an answer. */
    down(on: boolean): void {
      faults.down = on;
      if (on) cut();
    },
    /** Answers so much later. */
    slow(ms: number): void {
      faults.delayMs = ms;
    },
    /** Refuses the requests of a stage, all or those for some hosts, until called without a refusal. */
    refuse(stage: Stage, refusal?: Refusal): void {
      if (refusal === undefined) faults.refusals.delete(stage);
      else faults.refusals.set(stage, refusal);
    },
    /** Gives advice about renewals (RFC 9773), which pebble 2.4 does not. The argument is the certificate's id. */
    advise(advice: ((id: string) => Window) | undefined): void {
      faults.advice = advice;
    },
    /** Keeps the requests of a stage from now on. */
    hold(stage: Stage) {
      const waiting: (() => void)[] = [];
      faults.held.set(stage, waiting);
      return {
        /** Resolves when a request waits here. */
        reached: () => until(`a request waits at the stage ${stage}`, () => waiting.length > 0),
        /** Lets them through, and those to come. */
        release(): void {
          faults.held.delete(stage);
          for (const go of waiting) go();
        },
      };
    },
  };
}

type Way = { readonly target: Target; readonly agent: Agent; readonly faults: Faults; readonly asked: Asked[] };

async function answer(req: IncomingMessage, res: ServerResponse, body: Buffer, way: Way): Promise<void> {
  const { faults, asked } = way;
  if (faults.down) {
    res.destroy();
    return;
  }
  const path = req.url ?? '/';
  const stage = stageOf(path);
  const hosts = hostsOf(body);
  asked.push({ stage, hosts, at: performance.now() });
  const waiting = stage === undefined ? undefined : faults.held.get(stage);
  if (waiting !== undefined) await new Promise<void>((resolve) => waiting.push(resolve));
  if (faults.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, faults.delayMs).unref());
  if (faults.advice !== undefined && path.startsWith('/renewal-info/')) {
    res.setHeader('Retry-After', '1').setHeader('Content-Type', 'application/json');
    res.end(JSON.stringify({ suggestedWindow: faults.advice(path.slice('/renewal-info/'.length)) }));
    return;
  }
  const refusal = stage === undefined ? undefined : faults.refusals.get(stage);
  if (refusal !== undefined && (refusal.hosts === undefined || refusal.hosts.some((host) => hosts.includes(host)))) {
    const { status, type, retryAfter } = refusal;
    if (retryAfter !== undefined) res.setHeader('Retry-After', retryAfter);
    res.writeHead(status, { 'Content-Type': 'application/problem+json' });
    res.end(JSON.stringify({ type: `urn:ietf:params:acme:error:${type}`, detail: `the proxy says ${type}`, status }));
    return;
  }
  pass(req, res, body, way);
}

/** Passes a request to pebble. The directory has one more address, if advice is given. */
function pass(req: IncomingMessage, res: ServerResponse, body: Buffer, { target, agent, faults }: Way): void {
  const { method, url: path, headers } = req;
  const to = { host: 'localhost', port: target.port, method, path, headers, agent };
  const upstream = request(to, (back) => {
    void readBody(back).then(
      (text) => {
        const isAdvised = faults.advice !== undefined && path === stages.directory;
        const sent = isAdvised
          ? Buffer.from(
              JSON.stringify({ ...JSON.parse(String(text)), renewalInfo: `https://${headers.host}/renewal-info` }),
            )
          : text;
        const { 'transfer-encoding': _, ...kept } = back.headers;
        res.writeHead(back.statusCode ?? 500, { ...kept, 'content-length': sent.length });
        res.end(method === 'HEAD' ? undefined : sent);
      },
      () => res.destroy(),
    );
  });
  upstream.on('error', () => res.destroy());
  upstream.end(body);
}

const stageOf = (path: string): Stage | undefined => {
  for (const [stage, prefix] of Object.entries(stages)) if (path.startsWith(prefix)) return stage as Stage;
  return undefined;
};

/** The hosts that an order asks for: its body is a JWS. */
function hostsOf(body: Buffer): readonly string[] {
  try {
    const { payload } = JSON.parse(String(body)) as { payload: string };
    const { identifiers } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as {
      identifiers?: { value: string }[];
    };
    return identifiers?.map(({ value }) => value) ?? [];
  } catch {
    return [];
  }
}

async function readBody(stream: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts);
}
