/** How many matches HAProxy tests for one host and path, so that their list fits into a line of the map. */
export const mostMatches = 64;
