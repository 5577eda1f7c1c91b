import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { anchorsOf, linksOf } from './support/links.ts';

const root = join(import.meta.dirname, '..');
const inFolder = (folder: string) => readdirSync(join(root, folder)).map((name) => join(folder, name));
const pages = [...inFolder('.'), ...inFolder('docs'), ...inFolder('bench'), ...inFolder('bench/results')].filter(
  (name) => name.endsWith('.md'),
);
const read = (name: string) => readFileSync(join(root, name), 'utf8');

/** Why the link `target` of the page `from` leads nowhere. */
function fault(from: string, target: string): string | undefined {
  const [path = '', anchor] = target.split('#');
  const name = path === '' ? from : relative(root, join(root, dirname(from), path));
  if (!existsSync(join(root, name))) return `there is no ${name}`;
  if (anchor === undefined || !name.endsWith('.md')) return undefined;
  return anchorsOf(read(name)).has(anchor) ? undefined : `${name} has no heading #${anchor}`;
}

test.each(pages)('every link in %s leads to a file and a heading that exist', (page) => {
  const broken = linksOf(read(page)).flatMap((target) => {
    const why = fault(page, target);
    return why === undefined ? [] : [`${target}: ${why}`];
  });
  expect(broken).toEqual([]);
});

test('every page and heading of docs/ that code, scripts and shipped files name exists', () => {
  const broken = ['src', 'scripts', 'docker', 'packaging', 'haproxy', 'templates'].flatMap(filesBelow).flatMap((name) =>
    [...read(name).matchAll(/\bdocs\/[\w-]+\.md(?:#[\w-]+)?/g)].flatMap(([target]) => {
      const why = fault('README.md', target);
      return why === undefined ? [] : [`${name}: ${why}`];
    }),
  );
  expect(broken).toEqual([]);
});

test('docs/README.md leads to every page of docs/', () => {
  const linked = new Set(linksOf(read('docs/README.md')).map((target) => target.split('#')[0]));
  const missing = inFolder('docs').flatMap((name) => {
    const page = relative('docs', name);
    return page.endsWith('.md') && page !== 'README.md' && !linked.has(page) ? [page] : [];
  });
  expect(missing).toEqual([]);
});

test('a heading has the anchor that its words give, and a number when an earlier one has the same words', () => {
  const text =
    '# A page\n## Why is `web` not served?\n```sh\n# no heading\n```\n## Two words\n### Two words\n[a](b.md#c) `[d](e)`\n';
  expect([...anchorsOf(text)]).toEqual(['a-page', 'why-is-web-not-served', 'two-words', 'two-words-1']);
  expect(linksOf(text)).toEqual(['b.md#c']);
});

function filesBelow(folder: string): string[] {
  return inFolder(folder).flatMap((name) => (statSync(join(root, name)).isDirectory() ? filesBelow(name) : [name]));
}

test('no entry of the change log stands there twice, and none runs into the next one', () => {
  const lines = read('CHANGELOG.md').split('\n');
  const entries = lines.filter((line) => line.startsWith('- '));
  expect(entries.filter((line, at) => entries.indexOf(line) !== at)).toEqual([]);
  // Both happened when branches were merged.
  const title = /^[^-#|\s].*:$/;
  const glued = lines.filter((line, at) => title.test(line) && lines[at - 1] !== '');
  const torn = lines.filter((line, at) => line.startsWith('  ') && !/^(- | {2}\S)/.test(lines[at - 1] ?? ''));
  expect([...glued, ...torn]).toEqual([]);
});
