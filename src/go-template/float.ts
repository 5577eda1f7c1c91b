/** A finite number without its sign as `digits` · 10^`point`, `0.digits` style: 12.5 is digits 125, point 2. 0 has no digits. */
type Decimal = { readonly digits: string; readonly point: number };

const bits = new DataView(new ArrayBuffer(8));
const fractionBits = 52n;

/** |x| as mantissa · 2^exponent, exactly. */
function parts(x: number): { readonly mantissa: bigint; readonly exponent: number } {
  bits.setFloat64(0, Math.abs(x));
  const raw = bits.getBigUint64(0);
  const biased = Number(raw >> fractionBits);
  const fraction = raw & ((1n << fractionBits) - 1n);
  const mantissa = biased === 0 ? fraction : fraction | (1n << fractionBits);
  return { mantissa, exponent: (biased === 0 ? 1 : biased) - 1075 };
}

/** |x| · 10^places as an integer, rounded half to even, as Go does. JavaScript's toFixed rounds ties up. */
function scaled(x: number, places: number): bigint {
  const { mantissa, exponent } = parts(x);
  const top = (mantissa << BigInt(Math.max(0, exponent))) * 10n ** BigInt(Math.max(0, places));
  const bottom = (1n << BigInt(Math.max(0, -exponent))) * 10n ** BigInt(Math.max(0, -places));
  const whole = top / bottom;
  const rest = (top % bottom) * 2n;
  const up = rest > bottom || (rest === bottom && whole % 2n === 1n);
  return up ? whole + 1n : whole;
}

/** Without zeros at the end. */
const decimal = (digits: string, point: number): Decimal => ({ digits: digits.replace(/0+$/, ''), point });

/** The shortest digits that are read as the same number. */
function shortest(x: number): Decimal {
  if (x === 0) return { digits: '', point: 0 };
  const [digits = '', exponent = '0'] = Math.abs(x).toExponential().split('e');
  return decimal(digits.replace('.', ''), Number(exponent) + 1);
}

/** A number of significant digits, rounded half to even. */
function significant(x: number, count: number, point = shortest(x).point): Decimal {
  if (x === 0) return { digits: '', point: 0 };
  const digits = scaled(x, count - point).toString();
  // The shortest digits of 1e-7 are above the number, which is 9.99…e-08.
  if (digits.length < count) return significant(x, count, point - 1);
  // Rounding may make one digit more: 9.99 is 10.
  return decimal(digits, digits.length > count ? point + 1 : point);
}

/** `places`: how many digits stand behind the point. */
function exponential({ digits, point }: Decimal, places: number, letter: string): string {
  const exponent = digits === '' ? 0 : point - 1;
  const rest = places > 0 ? `.${digits.slice(1, places + 1).padEnd(places, '0')}` : '';
  const shown = String(Math.abs(exponent)).padStart(2, '0');
  return `${digits.charAt(0) || '0'}${rest}${letter}${exponent < 0 ? '-' : '+'}${shown}`;
}

function fixed(x: number, places: number): string {
  const digits = scaled(x, places)
    .toString()
    .padStart(places + 1, '0');
  return places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

function plain({ digits, point }: Decimal): string {
  const whole = point > 0 ? digits.slice(0, point).padEnd(point, '0') : '0';
  const rest = point >= 0 ? digits.slice(point) : '0'.repeat(-point) + digits;
  return rest === '' ? whole : `${whole}.${rest}`;
}

function general(x: number, precision: number | undefined, letter: string): string {
  const most = precision === 0 ? 1 : precision;
  const found = most === undefined ? shortest(x) : significant(x, most);
  const { digits, point } = found;
  // Without a precision, 6 digits decide whether there is an exponent.
  let limit = most ?? 6;
  if (most !== undefined && limit > digits.length && digits.length >= point) limit = digits.length;
  const exponent = point - 1;
  if (exponent < -4 || exponent >= limit)
    return exponential(found, Math.min(most ?? digits.length, digits.length) - 1, letter);
  return plain(found);
}

/** `4503599627370496p-52`: the mantissa as an integer, and a power of 2. */
function binary(x: number): string {
  const { mantissa, exponent } = parts(x);
  return `${mantissa}p${exponent < 0 ? '' : '+'}${exponent}`;
}

const hexDigits = 13;

/** `0x1.8p+01`. */
function hexadecimal(x: number, precision: number | undefined): string {
  let { mantissa, exponent } = parts(x);
  exponent = mantissa === 0n ? 0 : exponent + Number(fractionBits);
  for (; mantissa !== 0n && mantissa >> fractionBits === 0n; exponent -= 1) mantissa <<= 1n;
  if (precision !== undefined && precision < hexDigits) {
    const dropped = BigInt(4 * (hexDigits - precision));
    const rest = (mantissa & ((1n << dropped) - 1n)) * 2n;
    const kept = mantissa >> dropped;
    const up = rest > 1n << dropped || (rest === 1n << dropped && kept % 2n === 1n);
    mantissa = (up ? kept + 1n : kept) << dropped;
    if (mantissa >> (fractionBits + 1n) === 1n) {
      mantissa >>= 1n;
      exponent += 1;
    }
  }
  const all = (mantissa & ((1n << fractionBits) - 1n)).toString(16).padStart(hexDigits, '0');
  const digits = precision === undefined ? all.replace(/0+$/, '') : all.padEnd(precision, '0').slice(0, precision);
  const shown = String(Math.abs(exponent)).padStart(2, '0');
  return `0x${mantissa >> fractionBits}${digits === '' ? '' : `.${digits}`}p${exponent < 0 ? '-' : '+'}${shown}`;
}

/** The digits of a float without its sign, as strconv.FormatFloat; verb b, e, E, f, g, G, x or X. No precision: as many digits as are needed. */
export function floatText(x: number, verb: string, precision?: number): string {
  if (Number.isNaN(x)) return 'NaN';
  if (!Number.isFinite(x)) return 'Inf';
  switch (verb) {
    case 'b':
      return binary(x);
    case 'x':
      return hexadecimal(x, precision);
    case 'X':
      return hexadecimal(x, precision).toUpperCase();
    case 'e':
    case 'E': {
      const found = precision === undefined ? shortest(x) : significant(x, precision + 1);
      return exponential(found, precision ?? Math.max(found.digits.length - 1, 0), verb);
    }
    case 'f':
      return precision === undefined ? plain(shortest(x)) : fixed(x, precision);
    default:
      return general(x, precision, verb === 'G' ? 'E' : 'e');
  }
}
