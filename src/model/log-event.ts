/** A line of a balancer's log, as far as a person is shown it. */
export type LogEvent = {
  readonly id: number;
  readonly time: string;
  readonly level: string;
  readonly event?: string | undefined;
  readonly msg?: string | undefined;
  readonly revision?: string | undefined;
  readonly ms?: number | undefined;
  readonly stages?: Readonly<Record<string, number>> | undefined;
  /** The steps that were taken. */
  readonly what?: readonly string[] | undefined;
  /** The reasons for a reload. */
  readonly reasons?: readonly string[] | undefined;
  /** The differences between HAProxy and the configuration that it should run. */
  readonly differences?: readonly string[] | undefined;
  /** The reason that an operator gave for an override. */
  readonly why?: string | undefined;
  /** Why something was not done. */
  readonly reason?: string | undefined;
  readonly key?: string | undefined;
  /** A line that HAProxy wrote. */
  readonly line?: string | undefined;
};

/** One sentence that says what the other fields do not; undefined when they say it all. */
export function sentenceOf({ event, msg = '', ms, reason, line }: LogEvent): string | undefined {
  if (line !== undefined) return line;
  if (reason !== undefined && !msg.includes(reason)) return reason;
  // The clauses of an event with a duration say what took the time.
  return (ms !== undefined && reason === undefined) || msg === event || msg === '' ? undefined : msg;
}

/** The actions of an event, or the reasons for it, one by one. */
export const clausesOf = ({ what, reasons, differences, why }: Omit<LogEvent, 'id'>): readonly string[] => [
  ...listed(what),
  ...listed(reasons),
  ...listed(differences),
  ...(why === undefined ? [] : [why]),
];

// The page takes lines as they are, and other events have a text of the same name.
const listed = (value: unknown): readonly string[] => (Array.isArray(value) ? value : []);
