type PagerProps = {
  readonly what: string;
  readonly count: number;
  readonly page: number;
  readonly pages: number;
  readonly first: number;
  readonly last: number;
  readonly onPage: (page: number) => void;
};

/** Leads through the pages of a long table; nothing if there is only one. */
export function Pager({ what, count, page, pages, first, last, onPage }: PagerProps) {
  if (pages === 1) return null;
  return (
    <nav class="pager" aria-label={`Pages of ${what}`}>
      <button type="button" disabled={page === 0} onClick={() => onPage(page - 1)}>
        ‹ previous
      </button>
      <span>
        {first}–{last} of {count.toLocaleString('en')}
      </span>
      <button type="button" disabled={page === pages - 1} onClick={() => onPage(page + 1)}>
        next ›
      </button>
    </nav>
  );
}
