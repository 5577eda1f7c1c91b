import { GoFunction, GoInteger, type GoValue, integerOf } from '../../go-template/value.ts';

export const durationType = 'time.Duration';
const int64 = (value: bigint): GoInteger => new GoInteger('int64', BigInt.asIntN(64, value));
const greatest = 2n ** 63n - 1n;
/** A number of nanoseconds that a Duration can have. */
export const clamped = (value: bigint): bigint =>
  value > greatest ? greatest : value < -greatest - 1n ? -greatest - 1n : value;
const absolute = (value: bigint): bigint => (value < 0n ? -value : value);

/** `1h2m3.5s`, as Duration.String. */
function durationText(nanoseconds: bigint): string {
  if (nanoseconds === 0n) return '0s';
  const sign = nanoseconds < 0n ? '-' : '';
  const size = absolute(nanoseconds);
  const [unit, digits] =
    size < 1000n ? ['ns', 0] : size < 1_000_000n ? ['\xc2\xb5s', 3] : size < 1_000_000_000n ? ['ms', 6] : ['s', 9];
  const text = size.toString().padStart(digits + 1, '0');
  const fraction = digits === 0 ? '' : text.slice(-digits).replace(/0+$/, '');
  const whole = BigInt(digits === 0 ? text : text.slice(0, -digits));
  const rest = fraction === '' ? '' : `.${fraction}`;
  if (digits < 9) return `${sign}${whole}${rest}${unit}`;
  const [hours, minutes, seconds] = [whole / 3600n, (whole / 60n) % 60n, whole % 60n];
  const shown = hours > 0n ? `${hours}h${minutes}m` : minutes > 0n ? `${minutes}m` : '';
  return `${sign}${shown}${seconds}${rest}s`;
}

/** A Duration as a float of a unit, as Hours, Minutes and Seconds give it. */
function inUnits(nanoseconds: bigint, unit: bigint): number {
  return Number(nanoseconds / unit) + Number(nanoseconds % unit) / Number(unit);
}

/** Half is rounded away from zero. */
function rounded(nanoseconds: bigint, to: bigint): bigint {
  if (to <= 0n) return nanoseconds;
  const rest = absolute(nanoseconds % to);
  const near = absolute(nanoseconds) - rest + (rest + rest < to ? 0n : to);
  return clamped(nanoseconds < 0n ? -near : near);
}

/** A time.Duration with its methods. */
export function goDuration(nanoseconds: bigint): GoInteger {
  const value = BigInt.asIntN(64, nanoseconds);
  const method = (run: () => GoValue) => new GoFunction([], run);
  const by = (run: (other: bigint) => bigint) =>
    new GoFunction([durationType], ([other]) => goDuration(run(integerOf(other) ?? 0n)));
  const text = () => durationText(value);
  const methods = new Map([
    ['Abs', method(() => goDuration(clamped(absolute(value))))],
    ['Hours', method(() => inUnits(value, 3_600_000_000_000n))],
    ['Minutes', method(() => inUnits(value, 60_000_000_000n))],
    ['Seconds', method(() => inUnits(value, 1_000_000_000n))],
    ['Milliseconds', method(() => int64(value / 1_000_000n))],
    ['Microseconds', method(() => int64(value / 1000n))],
    ['Nanoseconds', method(() => int64(value))],
    ['Round', by((to) => rounded(value, to))],
    ['Truncate', by((to) => (to <= 0n ? value : value - (value % to)))],
    ['String', method(text)],
  ]);
  return new GoInteger(durationType, value, { text, method: (name) => methods.get(name) });
}
