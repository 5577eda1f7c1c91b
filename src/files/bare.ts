/** A record without a prototype: only what was put into it is in it, and `constructor` is a name like any other. */
export function bare<T>(entries: Iterable<readonly [string, T]>): Readonly<Record<string, T>> {
  const made: Record<string, T> = Object.create(null);
  for (const [name, value] of entries) made[name] = value;
  return made;
}

/** Reads JSON into values whose objects have no prototype; undefined when it is none. */
export function bareJson(json: string): unknown {
  try {
    return JSON.parse(json, (_, part: unknown) =>
      typeof part === 'object' && part !== null && !Array.isArray(part) ? bare(Object.entries(part)) : part,
    );
  } catch {
    return undefined;
  }
}
