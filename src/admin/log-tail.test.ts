import { expect, test } from 'vitest';
import { LogTail } from './log-tail.ts';

function tailOf(...lines: readonly Readonly<Record<string, unknown>>[]) {
  const tail = new LogTail();
  for (const line of lines) tail.write(`${JSON.stringify(line)}\n`);
  return tail.after(0).map(({ line }) => JSON.parse(line));
}
const many = (count: number, line: Readonly<Record<string, unknown>>) => Array.from({ length: count }, () => line);
const ownLines = many(100, { event: 'drift' });

test('one service that makes many lines does not drive out what happened to others', () => {
  const web = many(40, { event: 'entry-rejected', key: 'instances/web/a' });
  const api = many(30, { event: 'not-rendered', service: 'api' });
  const evil = many(100_000, { event: 'entry-rejected', key: 'instances/evil/x' });
  const left = tailOf(...ownLines, ...web, ...api, ...evil);
  expect(left).toHaveLength(500);
  for (const line of [...ownLines, ...web, ...api]) expect(left).toContainEqual(line);
  expect(left.filter(({ key }) => key === 'instances/evil/x')).toHaveLength(500 - 170);
});

test('many services do not drive out what happened to the balancer, and the newest lines are there', () => {
  const services = Array.from({ length: 2000 }, (_, i) => ({ event: 'guard-held', service: `evil${i}` }));
  const left = tailOf(...ownLines, ...services);
  expect(left.filter(({ event }) => event === 'drift')).toHaveLength(100);
  expect(left.at(-1)).toEqual(services.at(-1));
});

test('the balancer does not drive out what happened to services, and of each the newest lines are there', () => {
  const web = many(40, { event: 'not-rendered', service: 'web' });
  const left = tailOf(...web, ...Array.from({ length: 2000 }, (_, n) => ({ event: 'applied', n })));
  expect(left.filter(({ service }) => service === 'web')).toHaveLength(40);
  expect(left.slice(40).map(({ n }) => n)).toEqual(Array.from({ length: 460 }, (_, i) => 1540 + i));
});

test('a text that somebody wrote does not say what a line is about', () => {
  const posing = many(1000, { event: 'drift', reason: '"service":"web","key":"instances/web/a"' });
  const left = tailOf(...many(20, { service: 'web', event: 'conflict' }), ...posing);
  expect(left.filter(({ service }) => service === 'web')).toHaveLength(20);
});

test('each request of the access log is told with its service and its time, whatever its path says', () => {
  const tail = new LogTail();
  const told: unknown[] = [];
  tail.listenToRequests((service, ms) => told.push([service, ms]));
  const request = {
    event: 'request',
    service: 'web',
    path: '/"service":"api","ms":7',
    status: 200,
    ms: 12,
    queueMs: 3,
  };
  tail.write(`${JSON.stringify(request)}\n`);
  tail.write(`${JSON.stringify({ event: 'connection', service: 'db', ms: 60_000 })}\n`);
  tail.write(`${JSON.stringify({ event: 'applied', service: 'web', ms: 5 })}\n`);
  expect(told).toEqual([['web', 12]]);
});
