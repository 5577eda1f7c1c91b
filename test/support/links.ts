import { slugOf } from '../../scripts/slug-of.mjs';

/** The anchors that GitHub gives the headings of a page. */
export function anchorsOf(text: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of withoutFences(text).matchAll(/^#{1,6} +(.+?) *$/gm)) {
    const base = slugOf(heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1'));
    let anchor = base;
    for (let n = 1; anchors.has(anchor); n++) anchor = `${base}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** The links of a page to other pages, files and headings of the repository. */
export function linksOf(text: string): readonly string[] {
  const prose = withoutFences(text).replaceAll(/`[^`\n]+`/g, (code) => code.replaceAll(/[[\]()]/g, ' '));
  return [...prose.matchAll(/\[[^\]]*\]\(([^)\s]+)\)/g)].flatMap(([, target = '']) =>
    /^[a-z]+:/.test(target) ? [] : [target],
  );
}

const withoutFences = (text: string) => text.replaceAll(/^```[\s\S]*?^```$/gm, '');
