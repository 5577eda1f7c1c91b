import { expect, test } from 'vitest';
import { unwritableHint } from './unwritable.ts';

test('who may not write to the folder is told whose it is and what to change', () => {
  const folder = { path: '/var/lib/pointsman', uid: 0, mode: 0o40755 };
  expect(unwritableHint('EACCES', folder, 10001)).toBe(
    '/var/lib/pointsman belongs to user 0 with mode 0755, but pointsman runs as user 10001: run `chown 10001 /var/lib/pointsman`, ' +
      "or give a container's tmpfs the mode 1777 (`docker run --tmpfs /var/lib/pointsman:mode=1777`), or choose a writable folder with --dir",
  );
  expect(unwritableHint('EROFS', folder, 10001)).toContain('--tmpfs DIR:mode=1777');
  expect(unwritableHint('ENOSPC', folder, 10001)).toBe('choose a writable folder with --dir');
});
