/**
 * sort.Sort of Go since 1.19: pattern-defeating quicksort, which leaves equal items in an order of its own. confd's
 * sortByLength and sortKVByLength sort so. Up to 12 items it is insertion sort, which keeps their order.
 */
export function goSort<T>(items: T[], less: (a: T, b: T) => boolean): void {
  const limit = items.length === 0 ? 0 : 32 - Math.clz32(items.length);
  new Sorter(items, less).quick(0, items.length, limit);
}

const longestInserted = 12;
const shortestNinther = 50;

type Hint = 'unknown' | 'increasing' | 'decreasing';

class Sorter<T> {
  readonly #items: T[];
  readonly #isLess: (a: T, b: T) => boolean;

  constructor(items: T[], less: (a: T, b: T) => boolean) {
    this.#items = items;
    this.#isLess = less;
  }

  #less(i: number, j: number): boolean {
    return this.#isLess(this.#items[i] as T, this.#items[j] as T);
  }

  #swap(i: number, j: number): void {
    const kept = this.#items[i] as T;
    this.#items[i] = this.#items[j] as T;
    this.#items[j] = kept;
  }

  quick(first: number, last: number, most: number): void {
    let [a, b, limit] = [first, last, most];
    let wasBalanced = true;
    let wasPartitioned = true;
    for (;;) {
      const length = b - a;
      if (length <= longestInserted || limit === 0) {
        if (length <= longestInserted) this.#insert(a, b);
        else this.#heap(a, b);
        return;
      }
      if (!wasBalanced) {
        this.#breakPatterns(a, b);
        limit -= 1;
      }
      let [pivot, hint] = this.#choosePivot(a, b);
      if (hint === 'decreasing') {
        for (let i = a, j = b - 1; i < j; i++, j--) this.#swap(i, j);
        pivot = b - 1 - (pivot - a);
        hint = 'increasing';
      }
      if (wasBalanced && wasPartitioned && hint === 'increasing' && this.#partialInsert(a, b)) return;
      if (a > 0 && !this.#less(a - 1, pivot)) {
        a = this.#partitionEqual(a, b, pivot);
        continue;
      }
      const [middle, already] = this.#partition(a, b, pivot);
      wasPartitioned = already;
      const [left, right] = [middle - a, b - middle];
      const balance = Math.floor(length / 8);
      if (left < right) {
        wasBalanced = left >= balance;
        this.quick(a, middle, limit);
        a = middle + 1;
      } else {
        wasBalanced = right >= balance;
        this.quick(middle + 1, b, limit);
        b = middle;
      }
    }
  }

  #insert(a: number, b: number): void {
    for (let i = a + 1; i < b; i++) for (let j = i; j > a && this.#less(j, j - 1); j--) this.#swap(j, j - 1);
  }

  #heap(a: number, b: number): void {
    const down = (low: number, high: number): void => {
      for (let root = low; ; ) {
        let child = 2 * root + 1;
        if (child >= high) return;
        if (child + 1 < high && this.#less(a + child, a + child + 1)) child += 1;
        if (!this.#less(a + root, a + child)) return;
        this.#swap(a + root, a + child);
        root = child;
      }
    };
    const length = b - a;
    for (let i = Math.floor((length - 1) / 2); i >= 0; i--) down(i, length);
    for (let i = length - 1; i >= 0; i--) {
      this.#swap(a, a + i);
      down(0, i);
    }
  }

  /** Items smaller than the pivot, the pivot, the others; whether they were so already. */
  #partition(a: number, b: number, pivot: number): readonly [middle: number, already: boolean] {
    this.#swap(a, pivot);
    let [i, j] = [a + 1, b - 1];
    const narrow = () => {
      while (i <= j && this.#less(i, a)) i += 1;
      while (i <= j && !this.#less(j, a)) j -= 1;
    };
    narrow();
    if (i > j) {
      this.#swap(j, a);
      return [j, true];
    }
    do {
      this.#swap(i, j);
      i += 1;
      j -= 1;
      narrow();
    } while (i <= j);
    this.#swap(j, a);
    return [j, false];
  }

  /** Items equal to the pivot, and then the greater ones. */
  #partitionEqual(a: number, b: number, pivot: number): number {
    this.#swap(a, pivot);
    let [i, j] = [a + 1, b - 1];
    for (;;) {
      while (i <= j && !this.#less(a, i)) i += 1;
      while (i <= j && this.#less(a, j)) j -= 1;
      if (i > j) return i;
      this.#swap(i, j);
      i += 1;
      j -= 1;
    }
  }

  /** Sorts what is nearly sorted; false when it is not. */
  #partialInsert(a: number, b: number): boolean {
    let i = a + 1;
    for (let step = 0; step < 5; step++) {
      while (i < b && !this.#less(i, i - 1)) i += 1;
      if (i === b) return true;
      if (b - a < 50) return false;
      this.#swap(i, i - 1);
      if (i - a >= 2) for (let j = i - 1; j >= 1 && this.#less(j, j - 1); j--) this.#swap(j, j - 1);
      if (b - i >= 2) for (let j = i + 1; j < b && this.#less(j, j - 1); j++) this.#swap(j, j - 1);
    }
    return false;
  }

  #breakPatterns(a: number, b: number): void {
    const length = b - a;
    if (length < 8) return;
    let random = BigInt(length);
    const modulus = 1n << BigInt(32 - Math.clz32(length));
    const at = a + Math.floor(length / 4) * 2 - 1;
    for (let i = 0; i < 3; i++) {
      random ^= BigInt.asUintN(64, random << 13n);
      random ^= random >> 17n;
      random ^= BigInt.asUintN(64, random << 5n);
      let other = Number(random & (modulus - 1n));
      if (other >= length) other -= length;
      this.#swap(at + i, a + other);
    }
  }

  #choosePivot(a: number, b: number): [pivot: number, hint: Hint] {
    const length = b - a;
    const quarter = Math.floor(length / 4);
    let swaps = 0;
    const median = (x: number, y: number, z: number): number => {
      let [one, two, three] = [x, y, z];
      if (this.#less(two, one)) {
        swaps += 1;
        [one, two] = [two, one];
      }
      if (this.#less(three, two)) {
        swaps += 1;
        [two, three] = [three, two];
      }
      if (this.#less(two, one)) {
        swaps += 1;
        [one, two] = [two, one];
      }
      return two;
    };
    let [i, j, k] = [a + quarter, a + quarter * 2, a + quarter * 3];
    if (length >= 8) {
      if (length >= shortestNinther) {
        i = median(i - 1, i, i + 1);
        j = median(j - 1, j, j + 1);
        k = median(k - 1, k, k + 1);
      }
      j = median(i, j, k);
    }
    return [j, swaps === 0 ? 'increasing' : swaps === 12 ? 'decreasing' : 'unknown'];
  }
}
