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

async function startPort({ withToken }: { readonly withToken: boolean }) {
  const dir = await mkdtemp(join(tmpdir(), 'pm-plan-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, 'token'), secret);
  const token = withToken ? await openToken(join(dir, 'token')) : undefined;
  const asked: unknown[] = [];
  const app = new Hono();
  app.use(exceptPlans(readOnlyWithout(token)));
  const planner = {
    plan: async (question: unknown) => {
      asked.push(question);
      return { kind: 'busy', reason: 'it is busy', retryMs: 1500 } as const;
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
