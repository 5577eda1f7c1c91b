/** A finite number as `digits` · 10^`point`, `0.digits` style: 12.5 is digits 125, point 2. */
type Decimal = { readonly digits: string; readonly point: number };

const bits = new DataView(new ArrayBuffer(8));

/** |x| as numerator / 2^shift, exactly. */
function exact(x: number): { readonly numerator: bigint; readonly shift: number } {
  bits.setFloat64(0, Math.abs(x));
  const raw = bits.getBigUint64(0);
  const exponent = Number(raw >> 52n);
  const fraction = raw & ((1n << 52n) - 1n);
  const numerator = exponent === 0 ? fraction : fraction | (1n << 52n);
  const power = (exponent === 0 ? 1 : exponent) - 1075;
  return power >= 0 ? { numerator: numerator << BigInt(power), shift: 0 } : { numerator, shift: -power };
}

/** |x| · 10^places as an integer, rounded half to even, as Go does. JavaScript's toFixed rounds ties up. */
function scaled(x: number, places: number): bigint {
  const { numerator, shift } = exact(x);
  const top = numerator * 10n ** BigInt(Math.max(0, places));
  const bottom = (1n << BigInt(shift)) * 10n ** BigInt(Math.max(0, -places));
  const whole = top / bottom;
  const rest = (top % bottom) * 2n;
  const up = rest > bottom || (rest === bottom && whole % 2n === 1n);
  return up ? whole + 1n : whole;
}

/** The shortest digits that are read as the same number. */
function shortest(x: number): Decimal {
  const [digits = '0', exponent = '0'] = Math.abs(x).toExponential().split('e');
  return { digits: digits.replace('.', ''), point: x === 0 ? 1 : Number(exponent) + 1 };
}

/** A number of significant digits, rounded half to even. */
function significant(x: number, count: number): Decimal {
  if (x === 0) return { digits: '0'.repeat(count), point: 1 };
  const { point } = shortest(x);
  const digits = scaled(x, count - point).toString();
  // Rounding may make one digit more: 9.99 is 10.
  return digits.length > count ? { digits: digits.slice(0, count), point: point + 1 } : { digits, point };
}

function exponential({ digits, point }: Decimal, letter: string): string {
  const exponent = point - 1;
  const rest = digits.slice(1);
  const shown = String(Math.abs(exponent)).padStart(2, '0');
  return `${digits.charAt(0)}${rest === '' ? '' : `.${rest}`}${letter}${exponent < 0 ? '-' : '+'}${shown}`;
}

function fixed(x: number, places: number): string {
  const digits = scaled(x, places)
    .toString()
    .padStart(places + 1, '0');
  return places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

function plain({ digits, point }: Decimal): string {
  if (point <= 0) return `0.${'0'.repeat(-point)}${digits}`;
  const whole = digits.padEnd(point, '0');
  return whole.length === point ? whole : `${whole.slice(0, point)}.${whole.slice(point)}`;
}

function general(x: number, precision: number | undefined, letter: string, keepZeros: boolean): string {
  const decimal = precision === undefined ? shortest(x) : significant(x, precision === 0 ? 1 : precision);
  const digits = keepZeros ? decimal.digits : decimal.digits.replace(/0+$/, '') || '0';
  const { point } = decimal;
  // Without a precision, 6 digits decide whether there is an exponent.
  let limit = precision ?? 6;
  if (precision === 0) limit = 1;
  if (precision !== undefined && limit > digits.length && digits.length >= point) limit = digits.length;
  const exponent = point - 1;
  if (exponent < -4 || exponent >= limit) return exponential({ digits, point }, letter);
  return plain({ digits, point });
}

/** The digits of a float, without a sign: verb e, E, f, F, g or G. */
export function floatText(x: number, verb: string, precision: number | undefined, keepZeros: boolean): string {
  if (Number.isNaN(x)) return 'NaN';
  if (!Number.isFinite(x)) return 'Inf';
  switch (verb) {
    case 'e':
    case 'E':
      return exponential(significant(x, (precision ?? 6) + 1), verb);
    case 'f':
    case 'F':
      return fixed(x, precision ?? 6);
    default:
      return general(x, precision, verb === 'G' ? 'E' : 'e', keepZeros);
  }
}
