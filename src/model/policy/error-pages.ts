import * as v from 'valibot';
import { accepted, type Brand, type Parsed, quote, rejected } from '../parsed.ts';
import { parsing } from './field.ts';

/** The name of a page: the file `<name>.html` in the balancer's folder of error pages. */
export type PageName = Brand<string, 'PageName'>;

/** The pages that clients get instead of an error. */
export type ErrorPages = {
  /** By status, in ascending order. */
  readonly own: ReadonlyMap<number, PageName>;
  /** By status: also in place of what a server answers. Empty if the servers' errors pass. */
  readonly ofServers: ReadonlyMap<number, PageName>;
};

/** The statuses for which HAProxy can have a page of its own. */
const ownStatuses = [400, 401, 403, 404, 405, 408, 410, 413, 425, 429, 500, 501, 502, 503, 504] as const;

// 401 belongs to a challenge, which a page would take away. So only a page for 401 itself replaces it.
const ofClass = {
  '4xx': [400, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414, 415, 421, 422, 425, 426, 429, 431, 451],
  '5xx': [500, 501, 502, 503, 504, 505, 507, 508, 511],
} as const;

const isClass = (text: string): text is keyof typeof ofClass => text === '4xx' || text === '5xx';

/** Reads the name of a page: 1 to 63 of `A-Za-z0-9._-`, a letter or digit first. */
function parsePageName(text: string): Parsed<PageName> {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(text)
    ? accepted(text as PageName)
    : rejected(`${quote(text)} is not the name of a page: 1 to 63 of A-Z a-z 0-9 . _ -, a letter or digit first`);
}

/** The page of each status: one for a status itself comes before one for its class. */
function parsePages(given: Readonly<Record<string, string>>): Parsed<ReadonlyMap<number, PageName>> {
  const pages = new Map<number, PageName>();
  const classesFirst = Object.entries(given).sort(([a], [b]) => Number(isClass(b)) - Number(isClass(a)));
  if (classesFirst.length === 0) return rejected('it names no page');
  for (const [key, text] of classesFirst) {
    const page = parsePageName(text);
    if (!page.ok) return page;
    if (isClass(key)) for (const status of ofClass[key]) pages.set(status, page.value);
    else if (/^[45][0-9][0-9]$/.test(key)) pages.set(Number(key), page.value);
    else return rejected(`${quote(key)} is not a status from 400 to 599, 4xx or 5xx`);
  }
  // Each page of a status is a rule of its own in haproxy.cfg.
  if (pages.size > 64) return rejected('it names pages for more than 64 statuses');
  return accepted(new Map([...pages].sort(([a], [b]) => a - b)));
}

/** Reads the pages for all services: `404=not-found,5xx=oops`. */
export function parseDefaultPages(text: string): Parsed<ErrorPages['own']> {
  const given = new Map<string, string>();
  for (const part of text.split(',')) {
    const [status = '', page, ...more] = part.split('=');
    if (page === undefined || more.length > 0)
      return rejected(`${quote(part)} is not STATUS=NAME, such as 404=not-found`);
    given.set(status, page);
  }
  const pages = parsePages(Object.fromEntries(given));
  if (!pages.ok) return pages;
  const alien = [...given.keys()].find((key) => !isClass(key) && !isOwnStatus(Number(key)));
  return alien === undefined
    ? accepted(ownOf(pages.value))
    : rejected(`HAProxy itself never answers ${quote(alien)}; it answers ${ownStatuses.join(' ')}`);
}

const isOwnStatus = (status: number): boolean => ownStatuses.some((own) => own === status);

const ownOf = (pages: ReadonlyMap<number, PageName>): ErrorPages['own'] =>
  new Map([...pages].filter(([status]) => isOwnStatus(status)));

export const errorPagesField = v.pipe(
  v.strictObject({
    pages: parsing(v.record(v.string(), v.string()), parsePages),
    intercept: v.optional(v.boolean(), false),
  }),
  v.transform(({ pages, intercept }): ErrorPages => ({ own: ownOf(pages), ofServers: intercept ? pages : new Map() })),
);
