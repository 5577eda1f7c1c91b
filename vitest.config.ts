import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/longest-first.ts';

// CI shares its two cores with whatever else the machine does: a test of real processes is tried once more before it counts.
const retry = process.env['CI'] === undefined ? 0 : 1;
const scenario = { globalSetup: ['test/global-setup.ts'], testTimeout: 120_000, hookTimeout: 120_000, retry };

// What speaks with HAProxy is tested with each version that scripts/debian-root has made, too.
const roots = process.env['POINTSMAN_ROOTS'] ?? '/var/cache/pointsman-roots';
// Those between the oldest and the newest take what differs most between versions; `npm run test:matrix` runs all on them.
const middle = [
  ...['changes', 'server-states', 'reloads', 'known-faults'].map((name) => `test/haproxy/${name}.test.ts`),
  ...['transport', 'timeouts', 'routes', 'balance'].map((name) => `test/policies/${name}.test.ts`),
];
// Of the newest, what a lost folder, a failing disk and pointsman's own restarts and searches are to HAProxy is left out, too: the
// tests with 2.6 show it, and `npm run test:matrix` runs all of it.
const leftOfNewest = [
  ...['restart', 'deleted-folders', 'troubles', 'drift', 'quarantine', 'quarantined-starts', 'quarantined-templates'],
  ...['forced-reloads', 'open-files', 'modes'],
].map((name) => `test/haproxy/${name}.test.ts`);
const whole = process.env['MATRIX'] === 'whole';
const all = ['test/{haproxy,policies}/**/*.test.ts'];

const otherVersions = ['trixie', 'forky', 'sid']
  .map((suite) => ({ suite, haproxy: join(roots, `${suite}.bin`, 'haproxy') }))
  .filter(({ haproxy }) => existsSync(haproxy))
  .map(({ suite, haproxy }) => ({
    extends: true as const,
    test: {
      ...scenario,
      name: `haproxy-${suite}`,
      include: whole || suite === 'sid' ? all : middle,
      exclude: whole ? [] : leftOfNewest,
      env: { HAPROXY_BIN: haproxy },
    },
  }));

export default defineConfig({
  test: {
    // Tests of real processes mostly wait: on two cores, 2 workers take 23 minutes and 39 % of the processor time, 4 take 12.
    maxWorkers: 5,
    sequence: { sequencer: LongestFirst },
    projects: [
      // No module has state, so the unit tests share processes: 60 s of processor time instead of 102.
      {
        extends: true,
        test: { name: 'unit', include: ['src/**/*.test.ts'], isolate: false, testTimeout: 120_000, retry },
      },
      { extends: true, test: { ...scenario, name: 'scenario', include: ['test/**/*.test.ts'] } },
      ...otherVersions,
    ],
  },
});
