/** A setting's text, and where it stood, for messages: `--ttl`, `POINTSMAN_TTL`, `/etc/pointsman.yaml:3:6: ttl`. */
export type Given = { readonly text: string; readonly where: string };

/**
 * A value of the file, and where it stands: `/etc/pointsman.yaml:3:6`. Everything is kept as the text that was written:
 * `010` and `no` mean what the setting makes of them.
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

/** Where settings come from; what stands first in this list wins. */
export type Sources = {
  /** By flag name without `--`; each value that was given, in order. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly file: SettingsFile | undefined;
};
