import { createTwoFilesPatch, FILE_HEADERS_ONLY } from 'diff';
import type { FilePreview } from './preview.ts';

/** The change as `diff -u` writes it; empty when there is none. */
export function unifiedDiff({ dest, before, after }: FilePreview): string {
  if (before === after) return '';
  const headerOptions = FILE_HEADERS_ONLY;
  const from = before === undefined ? '/dev/null' : dest;
  return createTwoFilesPatch(from, dest, before ?? '', after, undefined, undefined, { context: 3, headerOptions });
}
