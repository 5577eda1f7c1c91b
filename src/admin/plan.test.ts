import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Hono } from 'hono';
import { expect, onTestFinished, test } from 'vitest';
import { readOnlyWithout } from './gate.ts';
import { addPlan, exceptPlans } from './plan.ts';
import { openToken, signatureOf } from './token.ts';

const secret = 'a-token-of-some-length';
const body = JSON.stringify({ changes: [{ key: 'services/web', value: null }] });
const here = { 'content-type': 'application/json', host: '10.0.0.5' };

type Port = { readonly withToken: boolean; readonly busy?: boolean };
const busyPlanner = { kind: 'busy', reason: 'it is busy', retryMs: 1500 } as const;

async function startPort({ withToken, busy = false }: Port) {
  const dir = await mkdtemp(join(tmpdir(), 'pm-plan-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, 'token'), secret);
  const token = withToken ? await openToken(join(dir, 'token')) : undefined;
  const asked: unknown[] = [];
  const app = new Hono();
  app.use(exceptPlans(readOnlyWithout(token)));
  const planner = {
    busy: () => (busy ? busyPlanner : undefined),
    plan: async (read: () => unknown) => {
      asked.push(read());
      return busyPlanner;
    },
  };
  addPlan(app, planner, token);
  const post = async (from: string, headers: Readonly<Record<string, string>>, text = body) => {
    const incoming = { socket: { remoteAddress: from, remotePort: 1, remoteFamily: 'IPv4' } };
    return app.request('/plan', { method: 'POST', headers: { ...here, ...headers }, body: text }, { incoming });
  };
  return { post, asked };
}

test('a balancer without a token plans for its own machine only', async () => {
  const { post, asked } = await startPort({ withToken: false });
  expect((await post('10.0.0.9', {})).status).toBe(403);
  expect((await post('10.0.0.9', { authorization: signatureOf(body, secret) })).status).toBe(403);
  expect(asked).toEqual([]);
  for (const from of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) expect((await post(from, {})).status).toBe(503);
  expect(asked[0]).toEqual({ changes: [{ key: 'services/web', value: undefined }], validate: false });
});

test('a balancer with a token plans for others that have it, or a signature of just this request', async () => {
  const { post, asked } = await startPort({ withToken: true });
  expect((await post('10.0.0.9', {})).status).toBe(401);
  expect((await post('10.0.0.9', { authorization: 'Bearer another token' })).status).toBe(401);
  expect((await post('10.0.0.9', { authorization: signatureOf(`${body} `, secret) })).status).toBe(401);
  expect(asked).toEqual([]);
  expect((await post('10.0.0.9', { authorization: `Bearer ${secret}` })).status).toBe(503);
  const answer = await post('10.0.0.9', { authorization: signatureOf(body, secret) });
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '2']);
});

test('a plan is refused to pages of other origins, to requests that are too long and to what is no question', async () => {
  const { post, asked } = await startPort({ withToken: false });
  expect((await post('127.0.0.1', { origin: 'http://evil.example' })).status).toBe(403);
  expect((await post('127.0.0.1', { 'content-type': 'text/plain' })).status).toBe(415);
  expect((await post('127.0.0.1', {}, 'x'.repeat(8 * 2 ** 20 + 1))).status).toBe(413);
  const wrong = await post('127.0.0.1', {}, '{"changes":[{"key":1,"value":null}]}');
  expect([wrong.status, await wrong.text()]).toEqual([400, expect.stringContaining('changes.0.key')]);
  expect(asked).toEqual([]);
});

test('a balancer that is busy refuses before it reads a request', async () => {
  const { post, asked } = await startPort({ withToken: false, busy: true });
  const answer = await post('127.0.0.1', {}, 'x'.repeat(8 * 2 ** 20 + 1));
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '2']);
  expect(asked).toEqual([]);
});

test.each([
  ['nested lists', `{"changes":${'['.repeat(1000)}`, 'more than the key and value of each'],
  ['many fields', `{"changes":[],"a":[${'1,'.repeat(40_000)}1]}`, 'more than the key and value of each'],
  [
    'many changes',
    JSON.stringify({ changes: Array.from({ length: 10_001 }, () => ({ key: 'a', value: null })) }),
    '10001 changes are more than 10000: ask about fewer of them',
  ],
  ['no JSON', '{"changes":', 'the request is not JSON'],
])('a request with %s is refused', async (_, text, reason) => {
  const { post, asked } = await startPort({ withToken: false });
  const answer = await post('127.0.0.1', {}, text);
  expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining(reason)]);
  expect(asked).toEqual([]);
});
