/** The parts of pointsman's own log that the demo shows. */
export type LogLine = {
  readonly event: string;
  readonly message: string;
  readonly revision: string | undefined;
  readonly ms: number | undefined;
  /** The reasons for a reload. */
  readonly reasons: readonly string[];
};

/** Reads a line of pointsman's JSON log; undefined for anything else. */
export function parseLogLine(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const record = new Map<string, unknown>(Object.entries(JSON.parse(line) as object));
    const text = (name: string) => {
      const value = record.get(name);
      return typeof value === 'string' ? value : undefined;
    };
    const [ms, reasons] = [record.get('ms'), record.get('reasons')];
    return {
      event: text('event') ?? '',
      message: text('msg') ?? '',
      revision: text('revision'),
      ms: typeof ms === 'number' ? ms : undefined,
      reasons: Array.isArray(reasons) ? reasons.map(String) : [],
    };
  } catch {
    return undefined;
  }
}
