/**
 * Which character of a refused value is not allowed, without the value itself: it may be a password, and the message goes
 * to logs and to other machines.
 */
export function placeOfUnsafe(text: string, allowed: (text: string) => boolean): string {
  const characters = [...text];
  const at = characters.findIndex((character) => !allowed(character));
  return `character ${at + 1} of ${characters.length} is not allowed`;
}
