import { pino } from 'pino';
import { expect, test } from 'vitest';
import { HealthLog } from './health-log.ts';

function logged() {
  const lines: Readonly<Record<string, unknown>>[] = [];
  const logger = pino({ base: null, timestamp: false }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { lines, log: new HealthLog({ logger, now: () => 0 }) };
}

test('an instance that goes down is a warning with the reason in words, and up again is none', () => {
  const { lines, log } = logged();
  const result = 'Layer7 wrong status, code: 503, info: "Service Unavailable"';
  log.tell({ to: 'down', service: 'web', id: 'a', result });
  log.tell({ to: 'up', service: 'web', id: 'a', result: undefined });
  const reason = 'HTTP status 503 (Service Unavailable)';
  expect(lines).toEqual([
    { level: 40, event: 'server-down', key: 'instances/web/a', reason, result, msg: `web/a is down: ${reason}` },
    { level: 30, event: 'server-up', key: 'instances/web/a', msg: 'web/a is up again' },
  ]);
});

test('an outage of thousands of instances is a bounded number of lines', () => {
  const { lines, log } = logged();
  for (let i = 0; i < 5000; i += 1) log.tell({ to: 'down', service: 'web', id: `i${i}`, result: 'Layer4 timeout' });
  log.close();
  expect(lines).toHaveLength(20);
});
