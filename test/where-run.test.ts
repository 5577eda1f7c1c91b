import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readChecks, withTable } from '../scripts/release-check.mjs';

const root = join(import.meta.dirname, '..');

test('docs/install.md shows what the release check ran, and where', async () => {
  const text = await readFile(join(root, 'docs/install.md'), 'utf8');
  expect(withTable(text)).toBe(text);
});

test('each check of a release has a name of its own, and a test that exists or a reason', () => {
  const checks = readChecks();
  expect(new Set(checks.map(({ id }) => id)).size).toBe(checks.length);
  for (const { id, run, notRun } of checks) {
    expect({ id, either: (run === undefined) !== (notRun === undefined) }).toEqual({ id, either: true });
    for (const path of run?.filter((word) => word.startsWith('test/')) ?? [])
      expect(existsSync(join(root, path))).toBe(true);
  }
});

test('a check that failed or could not be run says so in the table', () => {
  const page = '# Install\n<!-- where-run -->\n<!-- end of where-run -->\nmore\n';
  const checks = ['a', 'b', 'c'].map((id) => ({ id, what: `the ${id}`, run: ['true'] }));
  const result = { where: 'Debian 12, x64', on: '2026-11-29', commit: '0123456789ab', seconds: 7 };
  const results = {
    a: { ...result, result: 'failed' as const },
    b: { ...result, where: 'there is no mmdebstrap', result: 'lacking' as const },
  };
  expect(withTable(page, checks, results)).toBe(
    [
      '# Install\n<!-- where-run -->',
      '| what | result |\n|---|---|',
      '| the a | failed on 2026-11-29 (0123456789ab, 7 s): Debian 12, x64 |',
      '| the b | not run on 2026-11-29, because there is no mmdebstrap |',
      '| the c | not run yet |',
      '<!-- end of where-run -->\nmore\n',
    ].join('\n'),
  );
});
