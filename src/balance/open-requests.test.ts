import { describe, expect, test } from 'vitest';
import { sumUp } from './open-requests.ts';

const serving = (open: number) => ({ load: { open, takesNew: false }, idleClients: undefined });
const old = (open: number, takesNew: boolean, idleClients: number) => ({
  load: { open, takesNew },
  idleClients,
});

describe('the open requests of a server', () => {
  test('are those of all workers', () => {
    expect(sumUp([serving(2), old(3, true, 0), old(1, false, 1)])).toEqual({ open: 6, mayGrow: false });
  });

  test('are none when no worker has any and none can get any', () => {
    expect(sumUp([serving(0)])).toEqual({ open: 0, mayGrow: false });
    expect(sumUp([serving(0), old(0, true, 0)])).toEqual({ open: 0, mayGrow: false });
    expect(sumUp([serving(0), old(0, false, 9)])).toEqual({ open: 0, mayGrow: false });
    expect(sumUp([serving(0), { load: undefined, idleClients: 9 }])).toEqual({ open: 0, mayGrow: false });
  });

  test('may grow while a client of an old worker may send one more', () => {
    expect(sumUp([serving(0), old(0, true, 1)])).toEqual({ open: 0, mayGrow: true });
  });
});
