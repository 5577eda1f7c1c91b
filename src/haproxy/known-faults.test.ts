import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  affectedVersions,
  countFaults,
  deletesSafely,
  describeFaults,
  faultsOfVersion,
  knownFaults,
  soundVersions,
} from './known-faults.ts';

const ids = (version: string, has?: 'yes' | 'perhaps') =>
  faultsOfVersion(version)
    .filter((one) => has === undefined || one.has === has)
    .map(({ fault }) => fault.id);

describe('the known faults of HAProxy', () => {
  test('the versions of Debian have those that were found in them', () => {
    expect(ids('2.6.12')).toEqual([
      'no-connection-reuse',
      'delete-with-streams',
      'delete-with-waiting-requests',
      'delete-with-connections',
      'delete-with-private-connections',
      'delete-refused-after-http2',
      'deletes-at-once',
      'metrics-while-deleting',
      'show-stat-while-deleting',
      'show-servers-while-deleting',
      'address-read-half-way',
      'former-address',
      'no-cookie',
    ]);
    expect(ids('3.0.11', 'yes')).toEqual(['delete-with-waiting-requests', 'show-servers-while-deleting']);
    expect(ids('3.0.11-1+deb13u4')).toEqual(ids('3.0.11'));
    expect(ids('3.2.26')).toEqual([]);
    expect(ids('3.4.7')).toEqual([]);
    expect(ids('3.5')).toEqual([]);
  });

  test('a fault ends with the version that fixed it in its branch', () => {
    expect(ids('2.6.17')).toContain('no-connection-reuse');
    expect(ids('2.6.18')).not.toContain('no-connection-reuse');
    expect(ids('3.2.5')).not.toContain('leastconn-requeue');
    expect(ids('3.2.6')).toContain('leastconn-requeue');
    expect(ids('3.2.18')).toContain('leastconn-requeue');
    expect(ids('3.2.19')).not.toContain('leastconn-requeue');
    expect(ids('3.3.0')).toContain('leastconn-requeue');
  });

  test('of a version that is newer than the change lists it is not said that it has one', () => {
    expect(ids('3.0.27', 'yes')).toEqual([]);
    expect(ids('3.0.27', 'perhaps')).toEqual(['delete-with-waiting-requests', 'show-servers-while-deleting']);
    expect(describeFaults('3.0.27')).toMatch(
      /^HAProxy 3\.0\.27 may have 2 known faults .*; pointsman avoids all of them\./,
    );
    expect(describeFaults('2.6.30')).toMatch(/^HAProxy 2\.6\.30 may have \d known faults /);
  });

  test('servers are deleted at run time only where no fault is met by it', () => {
    for (const version of ['2.6.12', '2.8.16', '3.0.11', '3.0.27', '3.2.21', '3.4.3', '3.1.0', 'unknown', '3.4.7; x']) {
      expect(deletesSafely(version), version).toBe(false);
    }
    for (const version of ['3.2.22', '3.2.26', '3.4.4', '3.4.7', '3.5', '4.0.1']) {
      expect(deletesSafely(version), version).toBe(true);
    }
  });

  test('what is said of a version names what pointsman does not avoid, and which versions have none', () => {
    expect(describeFaults('2.6.12')).toBe(
      'HAProxy 2.6.12 has 13 known faults with servers that come and go; pointsman avoids 11 of them, but not ' +
        'no-connection-reuse and address-read-half-way. Without them: HAProxy 3.2.22 or later of 3.2, ' +
        '3.4.4 or later of 3.4 (docs/haproxy-versions.md)',
    );
    expect(countFaults('2.6.12')).toBe(
      'HAProxy 2.6.12: 13 known faults, 11 of them avoided by pointsman (docs/haproxy-versions.md)',
    );
    expect(countFaults('3.4.7')).toBeUndefined();
    expect(describeFaults('3.4.7')).toBeUndefined();
    expect(soundVersions()).toEqual(['3.2.22', '3.4.4']);
    for (const version of soundVersions()) expect(describeFaults(version)).toBeUndefined();
  });

  // `UPDATE=1 npx vitest run --project unit src/haproxy/known-faults` writes it.
  test('docs/haproxy-versions.md has a row for each', () => {
    const path = join(import.meta.dirname, '../../docs/haproxy-versions.md');
    const does = { unmet: 'Not met. ', avoided: 'Avoided. ', corrected: 'Corrected. ', open: 'Not avoided. ' };
    const rows = knownFaults.map(
      (fault) =>
        `| \`${fault.id}\` | ${fault.happens} | ${affectedVersions(fault)} | ${does[fault.answer.kind]}${fault.answer.text} | ${fault.fix} |`,
    );
    const head = '| fault | what happens | HAProxy | what pointsman does | fixed by |\n|---|---|---|---|---|\n';
    const table = `<!-- faults -->\n${head}${rows.join('\n')}\n<!-- end of faults -->`;
    const page = readFileSync(path, 'utf8');
    const made = page.replace(/<!-- faults -->.*<!-- end of faults -->/s, () => table);
    if (process.env['UPDATE'] !== undefined) writeFileSync(path, made);
    expect(readFileSync(path, 'utf8')).toBe(made);
    expect(made).toContain(table);
  });

  test('each fault has an id of its own', () => {
    expect(new Set(knownFaults.map(({ id }) => id)).size).toBe(knownFaults.length);
  });
});
