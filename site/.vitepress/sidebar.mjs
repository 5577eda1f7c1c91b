// The site's side bar is the way into the documentation, docs/README.md: its sections, and the first link of each row of their tables.

/**
 * @typedef {{ text: string, link: string }} Item
 * @typedef {{ text: string, collapsed: boolean, items: Item[] }} Section
 */

/**
 * @param {string} markdown docs/README.md
 * @returns {Section[]} Each page once in a section. Links to a heading of a page are left out.
 */
export function sidebarOf(markdown) {
  /** @type {Section[]} */
  const sections = [];
  for (const line of markdown.split('\n')) {
    const heading = /^## (.+)$/.exec(line)?.[1];
    if (heading !== undefined) sections.push({ text: heading, collapsed: false, items: [] });
    const section = sections.at(-1);
    const [, text, page] = /^\|.*?\[([^\]]+)\]\(([\w.-]+)\.md\)/.exec(line) ?? [];
    if (section === undefined || text === undefined || page === undefined) continue;
    if (!section.items.some(({ link }) => link === `/${page}`)) section.items.push({ text, link: `/${page}` });
  }
  return sections;
}
