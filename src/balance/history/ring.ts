import { fromTwoBytes, toTwoBytes } from './two-bytes.ts';

/** An hour in steps of 10 s. */
export const stepMs = 10_000;
export const mostSteps = 360;

/** The activity of a service in one step; times in ms. */
export type Figures = {
  readonly requestsPerS: number;
  readonly errorsPerS: number;
  /** HAProxy's mean of the newest 1024 requests; undefined without requests. */
  readonly meanMs: number | undefined;
  /** Of the requests of this step; undefined without an access log. */
  readonly p50Ms: number | undefined;
  readonly p95Ms: number | undefined;
};

const names = ['requestsPerS', 'errorsPerS', 'meanMs', 'p50Ms', 'p95Ms'] as const;

/** What one service needs for its hour: 3,600 bytes. */
export const ringBytes = mostSteps * names.length * Uint16Array.BYTES_PER_ELEMENT;

/** The figures of all steps, the oldest first; null where nothing is known. */
export type Series = { readonly [Name in (typeof names)[number]]: readonly (number | null)[] };

/** The figures of one service in the newest steps. Steps are numbered, and a step without figures is unknown. */
export class Ring {
  readonly #codes = new Uint16Array(mostSteps * names.length);
  #newest = Number.NEGATIVE_INFINITY;

  /** The number of the newest step that was put. */
  get newest(): number {
    return this.#newest;
  }

  /** Puts the figures of a step, which is not older than those before. */
  put(step: number, figures: Figures): void {
    this.#forget(Math.max(this.#newest + 1, step - mostSteps + 1), step);
    names.forEach((name, i) => {
      this.#codes[this.#at(step) + i] = toTwoBytes(figures[name]);
    });
    this.#newest = step;
  }

  /** The figures of the steps up to this one. */
  upTo(step: number): Series {
    const of = (i: number) =>
      Array.from({ length: mostSteps }, (_, k) => {
        const one = step - mostSteps + 1 + k;
        const isKept = one <= this.#newest && one > this.#newest - mostSteps;
        const quantity = isKept ? fromTwoBytes(this.#codes[this.#at(one) + i] ?? 0) : undefined;
        return quantity === undefined ? null : Number(quantity.toPrecision(4));
      });
    const [requestsPerS, errorsPerS, meanMs, p50Ms, p95Ms] = [of(0), of(1), of(2), of(3), of(4)];
    return { requestsPerS, errorsPerS, meanMs, p50Ms, p95Ms };
  }

  #forget(from: number, to: number): void {
    for (let step = from; step < to; step += 1) this.#codes.fill(0, this.#at(step), this.#at(step) + names.length);
  }

  #at(step: number): number {
    return (((step % mostSteps) + mostSteps) % mostSteps) * names.length;
  }
}
