/** A setting's text, and where it stood, for messages: `--ttl`, `POINTSMAN_TTL`, `/etc/pointsman.yaml:3:6: ttl`. */
export type Given = { readonly text: string; readonly where: string };

/** A field of the file. Everything is kept as the text that was written: `010` and `no` mean what the setting makes of them. */
export type FileField =
  | { readonly kind: 'scalar'; readonly given: Given }
  /** Each entry as `name=value`. */
  | { readonly kind: 'mapping'; readonly where: string; readonly entries: readonly Given[] }
  | { readonly kind: 'list'; readonly where: string };

export type SettingsFile = {
  readonly path: string;
  /** By field name. */
  readonly fields: ReadonlyMap<string, { readonly where: string; readonly field: FileField }>;
};

/** Where settings come from; what stands first in this list wins. */
export type Sources = {
  /** By flag name without `--`; each value that was given, in order. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly file: SettingsFile | undefined;
};
