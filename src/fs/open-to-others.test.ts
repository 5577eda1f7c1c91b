import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openToOthers } from './open-to-others.ts';

test.each([
  [0o600, undefined],
  [0o440, undefined],
  [0o644, 'can read it (mode 0644)'],
  [0o602, 'can write it (mode 0602)'],
])('of a secret file of mode %o, others are told: %s', async (mode, told) => {
  const folder = await mkdtemp(join(tmpdir(), 'pm-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'secret');
  await writeFile(file, 'x');
  await chmod(file, mode);
  const reason = await openToOthers(file);
  if (told === undefined) expect(reason).toBeUndefined();
  else expect(reason).toContain(`${told}: chmod o-rwx ${file}`);
  expect(await openToOthers(join(folder, 'none'))).toBeUndefined();
});
