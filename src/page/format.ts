export { formatDuration } from '../model/quantity.ts';

/** `0`, `0.4`, `37`, `1.2k`. */
export function formatRate(perS: number): string {
  if (perS >= 1000) return `${Number((perS / 1000).toPrecision(3))}k`;
  return perS >= 10 ? String(Math.round(perS)) : String(Number(perS.toFixed(1)));
}
