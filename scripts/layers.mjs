// Checks which folder of src/ imports which: `npm run check` runs it. docs/ARCHITECTURE.md has the picture.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Each room with the rooms that its files may import, types included. A room may name only rooms above it, so imports cannot
 * form a circle. A test may import every room above its own.
 * @type {Readonly<Record<string, string>>}
 */
const mayImport = {
  model: '',
  waiting: '',
  logging: '',
  metrics: '',
  fs: 'model waiting',
  template: 'model',
  'go-template': '',
  settings: 'model',
  registry: 'model',
  'registry/directory': 'model waiting logging fs registry',
  'registry/etcd': 'model waiting registry',
  catalog: 'model registry',
  addresses: 'model waiting',
  render: 'model fs template catalog',
  haproxy: 'model waiting render',
  fleet: 'model registry',
  acme: 'model waiting logging metrics settings registry fleet',
  operate: 'model registry catalog',
  files: 'model waiting metrics fs template go-template settings registry catalog',
  engine: 'model waiting',
  rollout: 'model waiting registry fleet operate engine',
  register: 'model waiting logging metrics fs settings registry fleet engine',
  'balance/observe': 'model logging metrics catalog haproxy fleet',
  'balance/state': 'model waiting metrics fs registry catalog render haproxy balance/observe',
  'balance/first-check': 'model waiting logging catalog render haproxy balance/observe',
  'balance/addresses': 'model waiting logging metrics settings catalog addresses render haproxy balance/observe',
  'balance/open-files': 'model logging metrics registry catalog haproxy balance/observe',
  'balance/ejection': 'model logging metrics catalog haproxy balance/observe',
  'balance/guard': 'model waiting metrics registry catalog haproxy fleet balance/observe balance/state',
  'balance/overrides': 'model metrics catalog fleet balance/observe',
  'balance/reload': 'model waiting logging metrics render haproxy balance/observe balance/state balance/first-check',
  'balance/quarantine': 'model waiting logging metrics registry catalog render fleet balance/observe balance/state',
  'balance/pipeline': 'model catalog render balance/quarantine',
  'balance/reconcile':
    'model waiting logging metrics registry catalog addresses render haproxy fleet balance/observe balance/state balance/first-check balance/addresses balance/open-files balance/ejection balance/guard balance/overrides balance/reload balance/quarantine balance/pipeline',
  'balance/acknowledge':
    'model waiting logging metrics registry catalog render haproxy fleet balance/observe balance/state balance/first-check balance/guard',
  'balance/fleet-limits': 'model waiting logging registry catalog render haproxy fleet',
  'balance/tls': 'model waiting logging metrics fs registry catalog render haproxy fleet balance/observe',
  'balance/secrets': 'model waiting logging fs catalog render haproxy',
  'balance/history': 'haproxy',
  'balance/queries':
    'model waiting registry catalog render haproxy fleet operate balance/ejection balance/guard balance/pipeline balance/reconcile balance/history',
  'balance/preview':
    'model settings registry catalog render haproxy balance/state balance/addresses balance/open-files balance/ejection balance/guard balance/quarantine balance/pipeline balance/reconcile',
  balance:
    'model waiting logging metrics template settings registry catalog render haproxy operate files acme balance/observe balance/state balance/first-check balance/addresses balance/open-files balance/ejection balance/guard balance/overrides balance/reload balance/quarantine balance/reconcile balance/acknowledge balance/tls balance/history balance/queries balance/preview balance/secrets balance/fleet-limits',
  admin: 'model operate balance/queries balance/preview balance',
  page: 'model render haproxy operate files balance/history balance/queries balance',
  declarations: 'model registry/directory registry settings',
  check:
    'model settings registry declarations catalog render haproxy operate balance/state balance balance/secrets balance/tls',
  apply: 'model waiting metrics registry declarations fleet check',
  'container-policies': 'model waiting logging registry engine declarations apply',
  demo: 'model waiting settings registry',
  cli: 'model waiting metrics fs settings registry registry/directory registry/etcd catalog render haproxy fleet operate files engine rollout register balance/state balance/addresses balance/reconcile balance/preview balance admin declarations check apply container-policies demo',
};

const order = Object.keys(mayImport);

/** The innermost room of a file of src/. @param {string} file */
const roomOf = (file) =>
  order.filter((room) => file.startsWith(`${room}/`)).toSorted((one, other) => other.length - one.length)[0];

const problems = [];
for (const [room, names] of Object.entries(mayImport)) {
  for (const name of names.split(' ').filter(Boolean)) {
    const at = order.indexOf(name);
    if (at === -1 || at > order.indexOf(room))
      problems.push(`scripts/layers.mjs: ${room} names ${name}, which is not above it`);
  }
}
const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
for (const file of files.filter((name) => /\.tsx?$/.test(name)).map((name) => name.replaceAll('\\', '/'))) {
  const room = roomOf(file);
  if (room === undefined) {
    problems.push(`src/${file} is in no room: add its folder to scripts/layers.mjs`);
    continue;
  }
  const above = order.slice(0, order.indexOf(room));
  const allowed = /\.test\.tsx?$/.test(file) ? above : (mayImport[room] ?? '').split(' ');
  const text = readFileSync(join(root, 'src', file), 'utf8');
  for (const [, path = ''] of text.matchAll(/(?:\bfrom|\bimport\(?)\s*'(\.[^']*\.tsx?)'/g)) {
    const other = roomOf(posix.join(posix.dirname(file), path));
    if (other === undefined || other === room || allowed.includes(other)) continue;
    problems.push(
      `src/${file} imports ${path}: ${room} may import ${allowed.join(', ') || 'nothing'} (scripts/layers.mjs)`,
    );
  }
}
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
