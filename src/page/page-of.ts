/** A part of a long list. */
export type PageOf<T> = {
  readonly shown: readonly T[];
  /** The number of the first one that is shown, from 1; 0 without any. */
  readonly first: number;
  readonly last: number;
  readonly page: number;
  readonly pages: number;
};

/** The page with this number, from 0, or the nearest one that exists. */
export function pageOf<T>(all: readonly T[], page: number, size: number): PageOf<T> {
  const { page: found, pages, first, last } = pageNumbers(all.length, page, size);
  return { shown: all.slice(found * size, last), first, last, page: found, pages };
}

/** The same for a list of which only one page is here. */
export function pageNumbers(count: number, page: number, size: number): Omit<PageOf<never>, 'shown'> {
  const pages = Math.max(1, Math.ceil(count / size));
  const found = Math.min(Math.max(0, page), pages - 1);
  return { page: found, pages, first: count === 0 ? 0 : found * size + 1, last: Math.min(count, (found + 1) * size) };
}
