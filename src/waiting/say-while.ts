const firstMs = 1000;
const everyMs = 10_000;

/** Calls `say` after a second, and every ten seconds from then on, until the work is done: somebody may wait for it at a terminal. */
export async function sayWhile<T>(work: Promise<T>, say: () => void): Promise<T> {
  let timer = setTimeout(function again() {
    say();
    timer = setTimeout(again, everyMs);
  }, firstMs);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
