import { expect, test } from 'vitest';
import { Connection } from './connection.ts';

test('a connection says since when it is lost, with the latest reason, and how often it was', () => {
  let now = 1000;
  const connection = new Connection(() => now);
  now = 1500;
  expect(connection.state).toEqual({ reason: 'it has not answered yet', staleMs: 500, known: false, losses: 0 });
  connection.lost('refused');
  expect(connection.state).toEqual({ reason: 'refused', staleMs: 500, known: false, losses: 0 });
  connection.answers();
  expect(connection.state).toEqual({ reason: undefined, staleMs: 0, known: true, losses: 0 });
  connection.lost('cut');
  now = 1700;
  connection.lost('no route');
  expect(connection.state).toEqual({ reason: 'no route', staleMs: 200, known: true, losses: 1 });
});
