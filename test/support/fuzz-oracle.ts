import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { onTestFinished } from 'vitest';
import { rejectedKey } from '../../src/catalog/limits.ts';
import type { TestBalancer } from './balancer.ts';
import { serverKeywords } from './read-config.ts';

const ids = { name: '[A-Za-z0-9][A-Za-z0-9._-]{0,62}', id: '[A-Za-z0-9][A-Za-z0-9._:-]{0,126}' };
const at = `${ids.name}/${ids.id}`;
const matchId = '[A-Za-z0-9_-]{16}';
const safe = '[A-Za-z0-9._:/[\\]@+,*=~-]+';
export const commands = (map: string) =>
  [
    'prompt',
    'show info',
    'show servers state',
    `show stat (?:-1|[0-9]+|${ids.name}) [0-9]+ -1`,
    'show version',
    'show env POINTSMAN_PAUSE',
    'get var proc.pointsman_config',
    'get var proc.pointsman_plain',
    'set var proc.pointsman_plain bool\\([01]\\)',
    'show ssl ca-file',
    'show ssl cert',
    'help',
    'experimental-mode on',
    'help add backend',
    'show backend',
    // The map of users and keys, which no entry of the registry is in.
    `show map ${map.replace('routes', 'auth')}`,
    `show map ${map}`,
    `show ssl crt-list -n ${map.replace('maps/routes\\.map', 'client-certificates/list')}`,
    `(?:add|set) map ${map} ${safe} ${ids.name}(?:/[1-9])?`,
    `(?:add|set) map ${map} ${safe}\\?${matchId} ${ids.name}/[0-9]/[A-Za-z0-9._%:,&-]+`,
    `(?:add|set) map ${map} ${safe} \\?/${ids.name}/[0-9-]/${matchId}(?:,${matchId})*`,
    `(?:add|set) map ${map} SERVICE:${ids.name} (?:maintenance|pause/[0-9]+)`,
    `(?:add|set) map ${map} VERSION:${ids.name}/@?[A-Za-z0-9._:/+-]+ ${ids.name}/=[A-Za-z0-9._:+-]+`,
    `(?:add|set) map ${map} [a-z0-9._-]+/\\.well-known/acme-challenge/[A-Za-z0-9_-]+/ _acme/[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]{43}`,
    `del map ${map} ${safe}(?:\\?${matchId})?`,
    `add server ${at} ${safe} weight [0-9]{1,3}${serverKeywords}(?: init-addr last,libc,none)?(?: check-sni ${safe})?`,
    `enable dynamic-cookie backend ${ids.name}`,
    `del server ${at}`,
    `enable health ${at}`,
    `set server ${at} state (?:ready|maint|drain)`,
    `set server ${at} weight [0-9]{1,3}`,
    `set server ${at} health (?:up|down)`,
    `set server ${at} addr [A-Za-z0-9.:-]+ port [1-9][0-9]{0,4}`,
    `(?:publish|unpublish|del) backend ${ids.name}`,
    `add backend ${ids.name} from policy-[0-9a-f]{32} mode (http|tcp)`,
  ].map((form) => new RegExp(`^${form}$`));

export async function ownTemplates(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pm-fuzz-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const shipped = await readFile(join(import.meta.dirname, '../../templates/server.mustache'), 'utf8');
  // The one free text that a registration may hold, put where it could do most.
  await writeFile(join(folder, 'server.mustache'), `${shipped.trimEnd()}{{#meta.x}} check-sni {{meta.x}}{{/meta.x}}\n`);
  return folder;
}

export function heapMb(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

/** Keys that were put and not deleted, and that nothing is said of: neither served nor named among the rejected. */
export function unaccounted({ balancer }: TestBalancer, keys: Iterable<string>): string[] {
  const { accepted, rejected } = balancer.status().catalog;
  const other = /^(releases|balancers|keys)(\/|$)/;
  return [...keys].filter((key) => !accepted.has(key) && !rejected.has(rejectedKey(key)) && !other.test(key));
}

/** Instances in the catalog without a line, but for those that are named among the rejected. */
export function missing({ balancer }: TestBalancer, lines: ReadonlyMap<string, string>): string[] {
  const { catalog, rejected } = balancer.status();
  const told = new Set(rejected.map(({ key }) => key));
  return [...catalog.services.values()]
    .flatMap(({ name, instances }) => [...instances.keys()].map((id) => `${name}/${id}`))
    .filter((name) => !lines.has(name) && !told.has(`instances/${name}`));
}

/** Lines whose instance is neither in the catalog nor held by the guard, for which a policy may ask. */
export function unwanted({ balancer, guarding }: TestBalancer, lines: ReadonlyMap<string, string>): string[] {
  const { services } = guarding.guarded(balancer.status().catalog);
  const wanted = new Set(
    [...services.values()].flatMap(({ name, instances }) => [...instances.keys()].map((id) => `${name}/${id}`)),
  );
  return [...lines.keys()].filter((name) => !wanted.has(name));
}
