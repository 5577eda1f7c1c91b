import pc from 'picocolors';
import { expect, test } from 'vitest';
import { printableLines } from '../model/printable.ts';
import { paintedDiff } from './painted-diff.ts';

test('a diff has no colour but its own, whatever the files hold', () => {
  const black = '\u001b[30m';
  const diff = `--- a${black}\n+++ b\n@@ -1 +1 @@\n-x\ty\n+${black}hidden`;
  const shown = printableLines(paintedDiff(diff, pc.createColors(true)));
  expect(shown).not.toContain(black);
  expect(shown).toContain('\u001b[31m-x\ty\u001b[39m');
  expect(shown).toContain('\u001b[32m+\\u001b[30mhidden\u001b[39m');
});
