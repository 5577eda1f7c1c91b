/** A file name may have 255 bytes, and a file that is being written has a longer one for a moment. */
const longest = 230;
const host = /^(\*\.)?[a-z0-9_][a-z0-9._-]*$|^[0-9a-f:.]+$/;

/** The name of the copy of a host's certificate, which HAProxy reads without quotes. Each host has another one. */
export const nameOfCopy = (of: string): string =>
  `${of.replace(/[^a-z0-9.-]/g, (char) => `_${char.charCodeAt(0).toString(16).padStart(2, '0')}`)}.pem`;

/** The host of a copy; undefined where `nameOfCopy` gives no host this name. */
export function hostOfCopy(name: string): string | undefined {
  if (!name.endsWith('.pem') || name.length > longest) return undefined;
  const text = name
    .slice(0, -4)
    .replace(/_([0-9a-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
  return host.test(text) && nameOfCopy(text) === name ? text : undefined;
}
