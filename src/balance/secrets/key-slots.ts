import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { exists } from '../../fs/exists.ts';
import { makeFolder } from '../../fs/make-folder.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { keySlots, slotFile } from '../../render/key-slots.ts';

/**
 * The files of public keys. Each configuration names all of them, so that a policy never names a file that does not exist: HAProxy
 * would refuse it, and the policy from before would serve, perhaps without authentication.
 */
export class KeySlots {
  readonly #folder: string;
  /** By slot, the fingerprint of its key; undefined: a key that signs nothing. */
  readonly #held: (string | undefined)[] = [];
  /** By slot, the text of its file. */
  readonly #texts: string[] = [];

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Reads the files of an earlier run, and makes the missing ones with the key `unused`. Rejects with Fault `storage`. */
  async prepare(unused: string): Promise<void> {
    for (let slot = 0; slot < keySlots; slot += 1) {
      const file = slotFile(this.#folder, slot);
      const text = await readFile(file, 'utf8').catch(() => undefined);
      if (text === undefined) await replaceFile(file, unused, { mode: 0o640 });
      this.#texts[slot] = text ?? unused;
      this.#held[slot] = text === undefined ? undefined : createHash('sha256').update(text).digest('hex');
    }
  }

  /**
   * Has each key in a file. `keys` are PEM texts by fingerprint. Returns the file of each key, by fingerprint, those that were
   * written now, and the number of keys for which there is no room. Rejects with Fault `storage`.
   */
  async place(keys: ReadonlyMap<string, string>) {
    const files = new Map<string, string>();
    const written: string[] = [];
    let without = 0;
    for (const [fingerprint, pem] of keys) {
      let slot = this.#held.indexOf(fingerprint);
      if (slot === -1) {
        slot = this.#held.findIndex((held) => held === undefined || !keys.has(held));
        if (slot === -1) {
          without += 1;
          continue;
        }
        await replaceFile(slotFile(this.#folder, slot), pem, { mode: 0o640 });
        this.#texts[slot] = pem;
        this.#held[slot] = fingerprint;
        written.push(slotFile(this.#folder, slot));
      }
      files.set(fingerprint, slotFile(this.#folder, slot));
    }
    return { files, written, without };
  }

  /** Writes the files again that somebody deleted. Returns their paths. Rejects with Fault `storage`. */
  async restore(): Promise<readonly string[]> {
    const restored: string[] = [];
    for (const [slot, text] of this.#texts.entries()) {
      const file = slotFile(this.#folder, slot);
      if (await exists(file)) continue;
      await makeFolder(this.#folder, 0o750);
      await replaceFile(file, text, { mode: 0o640 });
      restored.push(file);
    }
    return restored;
  }
}
