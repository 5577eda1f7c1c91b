import { appendFileSync } from 'node:fs';

/**
 * Says where a check ran, or what it measured, for the table of docs/install.md. scripts/release-check reads the lines of this
 * file.
 */
export function ran(what: string): void {
  append(what);
}

/** Says why a check cannot be run on this machine. */
export function lacks(reason: string): void {
  process.stderr.write(`not run: ${reason}\n`);
  append(`lacking: ${reason}`);
}

function append(line: string): void {
  const file = process.env['RELEASE_CHECK_REPORT'];
  if (file !== undefined) appendFileSync(file, `${line.replaceAll(/\s+/g, ' ').trim()}\n`);
}
