/** `2026-01-31T09:30:00Z`, of ms since 1970. */
export const formatInstant = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
