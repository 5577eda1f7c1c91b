/**
 * The anchor that GitHub gives a heading, which the links in docs/ use: lower case, `-` for a space, other signs left out.
 * @param {string} heading as text, without links
 */
export const slugOf = (heading) =>
  heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');
