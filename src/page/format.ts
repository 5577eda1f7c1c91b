export { formatDuration } from '../model/quantity.ts';

/** `0`, `0.4`, `37`, `1.2k`. */
export function formatRate(perS: number): string {
  if (perS >= 1000) return `${Number((perS / 1000).toPrecision(3))}k`;
  return perS >= 10 ? String(Math.round(perS)) : String(Number(perS.toFixed(1)));
}

/** `1 instance`, `1,234 instances`. */
export const plural = (count: number, noun: string): string =>
  `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
