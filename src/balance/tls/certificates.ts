import { join } from 'node:path';
import type { Refusal } from '../../fleet/acknowledgement.ts';
import { LinkedWatch } from '../../fs/linked-watch.ts';
import type { WorkerConnection } from '../../haproxy/runtime-link.ts';
import type { MakeMetric } from '../../metrics/make-metric.ts';
import { certificateKey } from '../../model/acme/keys.ts';
import { describe, Fault } from '../../model/fault.ts';
import type { Entry } from '../../registry/registry.ts';
import { SerialQueue } from '../../waiting/serial-queue.ts';
import { CertificateFolder, type CertificateFolderParts } from './certificate-folder.ts';
import type { StoredCertificates } from './stored-certificates.ts';
import { namesOf, WorkerCertificates, type WorkerCertificatesParts } from './worker-certificates.ts';

export const certificateMetrics = ({ gauge }: MakeMetric) => ({
  certificateExpiry: gauge(
    'certificate_expiry_timestamp_seconds',
    'Expiry of a served certificate, in seconds since 1970.',
    ['certificate'],
  ),
  certificateLifetime: gauge(
    'certificate_lifetime_seconds',
    'Time from the beginning to the expiry of a served certificate.',
    ['certificate'],
  ),
  certificatesRefused: gauge(
    'certificates_refused',
    'Certificates that cannot be used: files of --certificates, and entries of the registry.',
  ),
});

export type CertificatesParts = CertificateFolderParts &
  WorkerCertificatesParts & {
    readonly metrics: ReturnType<typeof certificateMetrics>;
    /** The certificates changed: call `serve`. */
    readonly onChange: () => void;
  };

/** The certificates of the registry that this balancer does not serve. `certificates`: undefined where it serves no HTTPS. */
export const refusedCertificates = (
  stored: StoredCertificates,
  certificates: Certificates | undefined,
): readonly Refusal[] =>
  certificates?.refusals(stored.entries) ??
  [...stored.entries.values()].map(({ key }) => ({
    ...{ key, reason: 'this balancer serves no HTTPS: start it with --https', absent: true, final: true },
  }));

export type CertificateStatus = {
  readonly name: string;
  readonly names: readonly string[];
  readonly notBefore: string;
  readonly notAfter: string;
  /** `registry`: a certificate that pointsman ordered, or that an operator wrote to `certificates/<host>`. */
  readonly source: 'folder' | 'registry';
};

const rescanMs = 60_000;
/** A full disk may have room later. */
const retryMs = 5000;

/** The certificates that HAProxy serves: pointsman follows a folder, and gives each change to the worker. */
export class Certificates {
  readonly #parts: CertificatesParts;
  readonly folder: CertificateFolder;
  readonly #worker: WorkerCertificates;
  /** Why the certificates could not be read, or their copies not be written; undefined when that worked last. */
  #failure: string | undefined;
  readonly #reads = new SerialQueue();
  #watch: LinkedWatch | undefined;
  /** A turn that has not begun yet looks at the registry's certificates. */
  #lookWaits = false;
  #rescan: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(parts: CertificatesParts) {
    this.#parts = parts;
    this.folder = new CertificateFolder(parts);
    this.#worker = new WorkerCertificates(this.folder, parts);
  }

  /** Reads the folder and writes the copies that HAProxy starts with. Rejects with a Fault when the folder cannot be read. */
  async prepare(): Promise<void> {
    await this.folder.prepare();
    try {
      await this.#reads.run(async () => {
        await this.#parts.stored.prepare();
        await this.#read();
      });
    } catch (cause) {
      const { folder } = this.#parts;
      // Of its own folder.
      if (folder === undefined || cause instanceof Fault) throw cause;
      throw new Fault('settings', `it cannot be read: ${describe(cause)}`, {
        where: `--certificates ${folder}`,
        cause,
      });
    }
  }

  /** Reads the certificates of the registry that were there before the registry answers, and writes their copies. */
  async resume(): Promise<void> {
    await this.#reads.run(() => this.#read({ folder: false }));
    this.#parts.onServed(namesOf(this.folder.wanted.values()));
  }

  /** To be called when the certificates of the registry changed, or the keys that open them. */
  look(): void {
    if (this.#lookWaits) return;
    this.#lookWaits = true;
    this.#turn(() => {
      this.#lookWaits = false;
      return this.#read({ folder: false });
    });
  }

  #turn(read: () => Promise<boolean>): void {
    const { logger, onChange, onServed } = this.#parts;
    void this.#reads.run(async () => {
      const failed = this.#failure;
      const changed = await read().then(
        (changes) => {
          this.#failure = undefined;
          return changes;
        },
        (error: unknown) => {
          this.#failure = describe(error);
          const event = { event: 'certificates-unread', reason: this.#failure };
          if (this.#failure !== failed) logger.error(event, 'the previous certificates stay in use');
          clearTimeout(this.#retry);
          this.#retry = setTimeout(() => this.#turn(read), retryMs);
          return false;
        },
      );
      if (!changed && this.#failure === failed) return;
      const { names } = this.#worker;
      if (names !== undefined) onServed(names);
      onChange();
    });
  }

  watch(): void {
    const { folder, logger } = this.#parts;
    const look = () => this.#turn(() => this.#read());
    if (folder !== undefined) {
      this.#watch = new LinkedWatch({
        folder,
        onChange: look,
        onError: (error) => logger.warn({ event: 'certificates-watch', reason: describe(error) }, 'not watched'),
      });
    }
    this.#rescan = setInterval(() => {
      this.#worker.doubt();
      look();
    }, rescanMs);
  }

  /** Whether the certificates, or the reasons of refusals, changed. */
  async #read(which?: { readonly folder: boolean }): Promise<boolean> {
    const { metrics } = this.#parts;
    const { changed, sources, earlier } = await this.folder.read(which);
    this.#worker.mayHave(earlier);
    await this.#watch?.follow(sources);
    metrics.certificatesRefused.set(this.folder.refused.size + this.#unusable().length);
    metrics.certificateExpiry.reset();
    metrics.certificateLifetime.reset();
    for (const [file, { notBefore, notAfter }] of this.folder.wanted) {
      const certificate = this.folder.nameOf(file);
      metrics.certificateExpiry.set({ certificate }, notAfter / 1000);
      metrics.certificateLifetime.set({ certificate }, (notAfter - notBefore) / 1000);
    }
    return changed;
  }

  /**
   * Has this worker serve the certificates. Returns why it does not serve all of them; undefined when it does. Rejects with Fault
   * `haproxy-runtime` when the worker does not answer, or has no list of certificates.
   */
  async serve(worker: WorkerConnection): Promise<string | undefined> {
    await this.#worker.serve(worker);
    return this.#reason();
  }

  /** Why the first certificate is not served or not used, and the number of others. */
  #reason(): string | undefined {
    const { folder } = this.#parts;
    const { keysProblem } = this.folder;
    const reasons = [
      ...(this.#failure === undefined ? [] : [`the previous certificates stay in use: ${this.#failure}`]),
      ...(keysProblem === undefined ? [] : [`the keys of before stay in use: --sealing-keys: ${keysProblem}`]),
      ...[...this.#worker.unserved].map(([file, reason]) => `${this.folder.nameOf(file)}: ${reason}`),
      ...[...this.folder.refused].map(([name, reason]) => `${join(folder ?? '', name)}: ${reason}`),
      ...this.#unusable().map(([host, reason]) => `${certificateKey(host)}: ${reason}`),
    ];
    const [first] = reasons;
    return reasons.length > 1 ? `${first}; and ${reasons.length - 1} more` : first;
  }

  /** The hosts whose entry of the registry cannot be used although it should be, and why. */
  #unusable(): readonly (readonly [string, string])[] {
    return [...this.folder.stored].flatMap(([host, { problem }]) =>
      problem === undefined || this.folder.folderServes(host) ? [] : [[host, problem] as const],
    );
  }

  status(): readonly CertificateStatus[] {
    const stored = new Set([...this.folder.stored.values()].map(({ file }) => file));
    return [...this.folder.wanted].map(([file, { names, notBefore, notAfter }]) => ({
      name: this.folder.nameOf(file),
      names,
      notBefore: new Date(notBefore).toISOString(),
      notAfter: new Date(notAfter).toISOString(),
      source: stored.has(file) ? 'registry' : 'folder',
    }));
  }

  /** The certificates of the registry, as they are in it now, that the worker does not serve. */
  refusals(entries: ReadonlyMap<string, Entry>): readonly Refusal[] {
    const refusals: Refusal[] = [];
    const late = this.#failure ?? 'HAProxy does not have it yet';
    for (const [host, { key, value }] of entries) {
      if (this.folder.folderServes(host)) continue;
      const read = this.folder.stored.get(host);
      if (read?.entry?.value !== value) {
        refusals.push({ key, reason: late, absent: read?.certificate === undefined });
        continue;
      }
      const { file, certificate, problem } = read;
      if (problem !== undefined) {
        refusals.push({ key, reason: problem, absent: certificate === undefined, final: true });
        continue;
      }
      const gap = certificate && this.#worker.gapOf(file, certificate);
      if (gap !== undefined) refusals.push({ key, reason: gap.reason ?? late, absent: gap.absent });
    }
    return refusals;
  }

  async close(): Promise<void> {
    clearInterval(this.#rescan);
    await this.#watch?.close();
    await this.#reads.idle();
    clearTimeout(this.#retry);
  }
}
