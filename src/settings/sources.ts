import type { Fault } from '../model/fault.ts';

/** A setting's text, and its place for messages: `--ttl`, `POINTSMAN_TTL`, `/etc/pointsman.yaml:3:6: ttl`. */
export type Given = { readonly text: string; readonly where: string };

/**
 * A value of the file, and its place: `/etc/pointsman.yaml:3:6`. The text is kept as it was written: each setting interprets
 * `010` and `no` itself.
 */
export type FileNode =
  | { readonly kind: 'scalar'; readonly where: string; readonly text: string }
  | { readonly kind: 'list'; readonly where: string; readonly items: readonly FileNode[] }
  | { readonly kind: 'mapping'; readonly where: string; readonly entries: readonly FileEntry[] }
  | { readonly kind: 'nothing'; readonly where: string };

/** `where` is that of the name. */
export type FileEntry = { readonly name: string; readonly where: string; readonly value: FileNode };

export type SettingsFile = {
  readonly path: string;
  /** By field name. */
  readonly fields: ReadonlyMap<string, FileEntry>;
};

/** The sources of settings; an earlier one in this list wins. */
export type Sources = {
  /** By flag name without `--`; each value that was given, in order. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly file: SettingsFile | undefined;
};

/** The values, or all mistakes at once. */
export type ReadResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly Fault[] };
