// The history keeps many numbers for a long time, so each of them has two bytes: the logarithm of the quantity.
const perDoubling = 1500;
const unit = 1000;
const largest = 65_535;

/** A quantity from 0 to 10,000,000,000 as two bytes, exact to 0.03 % above 1, and to 0.0005 below; 0 for an unknown one. */
export const toTwoBytes = (quantity: number | undefined): number =>
  quantity === undefined
    ? 0
    : Math.min(largest, 1 + Math.round(Math.log2(1 + Math.max(0, quantity) * unit) * perDoubling));

/** The quantity again; undefined if it was unknown. */
export const fromTwoBytes = (code: number): number | undefined =>
  code === 0 ? undefined : (2 ** ((code - 1) / perDoubling) - 1) / unit;
