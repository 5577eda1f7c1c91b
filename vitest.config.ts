import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/longest-first.ts';

const isNightly = process.env['NIGHTLY'] === '1';

// CI shares its two cores with whatever else the machine does: a test of real processes is tried once more before it counts.
const retry = process.env['CI'] === undefined ? 0 : 1;
// No module has state, so test files share processes: each would load all modules again otherwise, which took a fifth of the time.
const common = { isolate: false, testTimeout: 120_000, hookTimeout: 120_000, retry };
const scenario = { ...common, globalSetup: ['test/global-setup.ts'] };

// What speaks with HAProxy is tested with each version that scripts/debian-root has made, too.
const roots = process.env['POINTSMAN_ROOTS'] ?? '/var/cache/pointsman-roots';
const all = ['test/{haproxy,policies}/**/*.test.ts'];
const haproxyTests = (...names: readonly string[]) => names.map((name) => `test/haproxy/${name}.test.ts`);
/** With 3.0 and 3.2, which are between the oldest and the newest, `npm test` runs what differs most between versions. */
const between = haproxyTests('changes', 'server-states', 'reloads', 'known-faults', 'secrets');
/** With 3.2, which images have, it also runs the main policies. */
const inImages = [
  ...between,
  ...[
    'transport',
    'timeouts',
    'routes',
    'balance',
    'basic-auth',
    'jwt-auth',
    'limits',
    'rate-limit',
    'forward-auth',
    'canary',
  ].map((name) => `test/policies/${name}.test.ts`),
];
/** With the newest, it leaves out what 2.6 shows as well: lost folders, failing disks, pointsman's own restarts and searches. */
const leftOfNewest = [
  ...haproxyTests('restart', 'deleted-folders', 'troubles', 'drift', 'quarantine', 'quarantined-starts'),
  ...haproxyTests('quarantined-templates', 'forced-reloads', 'open-files', 'modes', 'taken-ports'),
];

/** `npm test` leaves out scenarios that mostly wait and have found nothing for long. */
const leftOfScenarios = [
  'replaced-history',
  'register-return',
  'many-commands',
  // The main ways of `rollout` and `stop` are in `rollout`, which it runs.
  'rollout-trouble',
  'containers/rollout',
  'faults/etcd-slow-link',
  'faults/register-random',
  // Their main ways are in `acme/orders` and `containers/labels`, which it runs.
  'acme/authority',
  'acme/dns',
  'acme/renewals',
  'containers/podman-labels',
  'containers/missed-stops',
  // `systemd/systemd` boots the same machine for the balancer.
  'systemd/containers',
  // It builds the images and starts them, as `containers/containers` does without an engine.
  'containers/docker',
  'fleet-limits',
  'page-large',
  // `registry/etcd-roles` has the permissions, and `registry/etcd` TLS.
  'secure-etcd',
  'containers/reboot',
  'containers/rootless',
  'containers/swarm-labels',
].map((name) => `test/${name}.test.ts`);

const included = { trixie: between, forky: inImages, sid: all };

const otherHaproxies = (['trixie', 'forky', 'sid'] as const)
  .map((suite) => ({ suite, haproxy: join(roots, `${suite}.bin`, 'haproxy') }))
  .filter(({ haproxy }) => existsSync(haproxy))
  .map(({ suite, haproxy }) => ({
    extends: true as const,
    test: {
      ...scenario,
      name: `haproxy-${suite}`,
      include: isNightly ? all : included[suite],
      exclude: isNightly ? [] : leftOfNewest,
      env: { HAPROXY_BIN: haproxy },
    },
  }));

/** The main scenarios, which run with other versions of Node as well (scripts/node-version): `bin/pointsman` takes the first on PATH. */
const main = ['balance', 'register', 'departure', 'wait', 'https', 'see', 'render', 'registry/directory-processes'].map(
  (name) => `test/${name}.test.ts`,
);
/** What `npm test` runs of them: most with the version that images and packages have. */
const few = ['test/https.test.ts'];
const some = [...few, 'test/render.test.ts', 'test/departure.test.ts'];
const nodes = process.env['POINTSMAN_NODES'] ?? '/var/cache/pointsman-nodes';

const otherNodes = ['22', '24', '26']
  .map((version) => ({ version, bin: join(nodes, version, 'node_modules/node/bin') }))
  .filter(({ bin }) => existsSync(join(bin, 'node')))
  .map(({ version, bin }) => ({
    extends: true as const,
    test: {
      ...scenario,
      name: `node-${version}`,
      include: isNightly ? main : version === '24' ? some : few,
      env: { PATH: `${bin}:${process.env['PATH']}` },
    },
  }));

export default defineConfig({
  test: {
    // Tests of real processes mostly wait: on two cores, 2 workers take 23 minutes and 39 % of the processor time, 4 take 12.
    maxWorkers: 6,
    sequence: { sequencer: LongestFirst },
    // The projects share most modules, and a module is transformed once for all of them.
    experimental: { fsModuleCache: true },
    projects: [
      { extends: true, test: { ...common, name: 'unit', include: ['src/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          ...scenario,
          name: 'scenario',
          include: ['test/**/*.test.ts'],
          exclude: ['test/release/**', ...(isNightly ? [] : leftOfScenarios)],
        },
      },
      ...otherHaproxies,
      ...otherNodes,
      // Takes minutes; scripts/release-check.mjs runs it.
      ...(process.env['RELEASE'] === undefined
        ? []
        : [{ extends: true as const, test: { ...scenario, name: 'release', include: ['test/release/*.test.ts'] } }]),
    ],
  },
});
