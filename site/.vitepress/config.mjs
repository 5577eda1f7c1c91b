// The site of the documentation. `npm run site` copies docs/ to site/pages, where the pages find Vue, and builds site/dist from them.
// The site asks no other host for anything.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitepress';
import { slugOf } from '../../scripts/slug-of.mjs';
import { sidebarOf } from './sidebar.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const docs = join(root, 'docs');

/**
 * The pages are plain Markdown: `{{…}}` in them is a template of ours and not Vue's. Links that leave docs/ name files of the
 * repository, which the site does not have: their text stays, with the path as its title.
 * @param {import('vitepress').MarkdownRenderer} md
 */
function plainMarkdown(md) {
  const { escapeHtml } = md.utils;
  const literal = (/** @type {string} */ text) => escapeHtml(text).replaceAll('{', '&#123;');
  md.renderer.rules.text = (tokens, at) => literal(tokens[at]?.content ?? '');
  md.renderer.rules.code_inline = (tokens, at) => `<code v-pre>${escapeHtml(tokens[at]?.content ?? '')}</code>`;
  md.core.ruler.push('links-of-repository', (state) => {
    for (const { children } of state.tokens) asText(children ?? []);
  });
}

/** @param {import('markdown-it').Token[]} tokens of one paragraph */
function asText(tokens) {
  let outside = false;
  for (const token of tokens) {
    if (token.type === 'link_open') {
      const [path = ''] = (token.attrGet('href') ?? '').split('#');
      outside = path !== '' && !/^[a-z]+:/.test(path) && !isPage(path);
      if (!outside) continue;
      Object.assign(token, {
        type: 'file_open',
        tag: 'span',
        attrs: [['title', `${resolve('/docs', path).slice(1)} in the repository`]],
      });
    } else if (token.type === 'link_close' && outside) {
      Object.assign(token, { type: 'file_close', tag: 'span' });
      outside = false;
    }
  }
}

/** @param {string} path relative to docs/ */
const isPage = (path) => !path.startsWith('..') && path.endsWith('.md') && existsSync(join(docs, path));

export default defineConfig({
  title: 'pointsman',
  description: 'Keeps HAProxy in step with etcd',
  lang: 'en',
  // Browsers ask for /favicon.ico otherwise.
  head: [['link', { rel: 'icon', href: 'data:,' }]],
  srcDir: join(root, 'site/pages'),
  outDir: join(root, 'site/dist'),
  cacheDir: join(root, 'site/node_modules/.vitepress'),
  rewrites: { 'README.md': 'index.md' },
  srcExclude: ['**/*.json'],
  cleanUrls: false,
  metaChunk: true,
  // The start pages name what runs on the reader's own machine.
  ignoreDeadLinks: [/^http:\/\/localhost:/],
  markdown: {
    anchor: { slugify: slugOf },
    toc: { slugify: slugOf },
    headers: { slugify: slugOf },
    config: plainMarkdown,
  },
  themeConfig: {
    sidebar: sidebarOf(readFileSync(join(docs, 'README.md'), 'utf8')),
    outline: { level: [2, 3] },
    search: { provider: 'local' },
    docFooter: { prev: 'Previous page', next: 'Next page' },
  },
});
