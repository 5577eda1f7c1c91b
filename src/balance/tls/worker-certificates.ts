import type { Logger } from 'pino';
import { type CertificateChange, serveCertificates } from '../../haproxy/certificate-store.ts';
import type { WorkerConnection } from '../../haproxy/runtime-link.ts';
import type { Certificate } from '../../model/certificate.ts';
import type { CertificateFolder } from './certificate-folder.ts';

export type WorkerCertificatesParts = {
  /** The list that the configuration names. */
  readonly list: string;
  readonly logger: Logger;
  /** The worker serves certificates with these names. Called also when the refusals may have changed. */
  readonly onServed: (names: ReadonlySet<string>) => void;
  /** HAProxy has to load this file itself. */
  readonly onReload: (file: string) => void;
  /** A worker serves other certificates than pointsman gave it. */
  readonly onDrift: (differences: readonly string[]) => void;
};

/** The certificates that HAProxy's worker has, as far as pointsman knows. */
export class WorkerCertificates {
  readonly #folder: Pick<CertificateFolder, 'wanted' | 'nameOf' | 'rewrite'>;
  readonly #parts: WorkerCertificatesParts;
  /** The last worker that got certificates, and which. */
  #served: { readonly workerPid: number; readonly wanted: ReadonlyMap<string, Certificate> } | undefined;
  /** By file, the PEM text that workers have: a worker that starts later has read it from disk. */
  readonly #given = new Map<string, string>();
  /** By file, the PEM text that a reload was needed for: the same text causes only one reload. */
  readonly #reloaded = new Map<string, string>();
  /** By file, why the worker does not serve it. */
  #unserved: ReadonlyMap<string, string> = new Map();
  /** The certificates that the worker serves, some perhaps in an earlier form. */
  #inWorker: ReadonlyMap<string, Certificate> = new Map();
  /** The files that HAProxy has to read by a reload. */
  #reloading: ReadonlySet<string> = new Set();
  /** Other programs may have changed the certificates of the worker. */
  #doubted = false;

  constructor(folder: Pick<CertificateFolder, 'wanted' | 'nameOf' | 'rewrite'>, parts: WorkerCertificatesParts) {
    this.#folder = folder;
    this.#parts = parts;
  }

  /** By file, why the worker does not serve it. */
  get unserved(): ReadonlyMap<string, string> {
    return this.#unserved;
  }

  /** The names of the certificates that the worker serves; undefined before one was asked. */
  get names(): ReadonlySet<string> | undefined {
    return this.#served && namesOf(this.#inWorker.values());
  }

  /** Another program may have changed the certificates: the next `serve` asks the worker. */
  doubt(): void {
    this.#doubted = true;
  }

  /** By file, the text of copies that the worker may have loaded when it started. */
  mayHave(copies: ReadonlyMap<string, string>): void {
    for (const [file, text] of copies) this.#given.set(file, text);
  }

  /** What keeps the worker from serving this certificate; undefined: it serves it. `absent`: it serves no earlier one either. */
  gapOf(
    file: string,
    { pem }: Certificate,
  ): { readonly reason: string | undefined; readonly absent: boolean } | undefined {
    const reason = this.#unserved.get(file);
    if (reason === undefined && this.#given.get(file) === pem && !this.#reloading.has(file)) return undefined;
    return { reason, absent: !this.#inWorker.has(file) };
  }

  /** Has this worker serve the certificates. Rejects with Fault `haproxy-runtime` when it does not answer, or has no list of certificates. */
  async serve(worker: WorkerConnection): Promise<void> {
    const { wanted } = this.#folder;
    const { list, onDrift, onReload, onServed } = this.#parts;
    const { workerPid } = worker;
    const given = this.#served?.workerPid === workerPid && this.#served.wanted === wanted;
    if (given && !this.#doubted && this.#unserved.size === 0) return;
    this.#doubted = false;
    const changed = new Set<string>();
    for (const [file, { pem }] of wanted) {
      const known = this.#given.get(file);
      if (known !== undefined && known !== pem) changed.add(file);
    }
    const changes = await serveCertificates(worker, { list, wanted, changed });
    const unserved = new Map<string, string>();
    for (const change of changes) {
      const reason = this.#report(change);
      if (reason !== undefined) unserved.set(change.file, reason);
    }
    if (this.#served?.wanted === wanted && this.#unserved.size === 0 && changes.length > 0) {
      // Another program may have written to the copies, and a worker of another program's reload has loaded that.
      await this.#folder.rewrite(new Set(changes.map(({ file }) => file)));
      onDrift(changes.map(({ file }) => `the certificate ${this.#folder.nameOf(file)} was changed in HAProxy`));
    }
    this.#given.clear();
    for (const [file, { pem }] of wanted) if (!unserved.has(file)) this.#given.set(file, pem);
    this.#unserved = unserved;
    this.#served = { workerPid, wanted };
    this.#reloading = new Set(changes.flatMap((one) => (one.kind === 'reload' ? [one.file] : [])));
    // A certificate that HAProxy refuses, or does not have before a reload, leaves the one before.
    const isLate = (file: string) => unserved.has(file) || this.#reloading.has(file);
    this.#inWorker = new Map([...wanted].filter(([file]) => !isLate(file) || this.#inWorker.has(file)));
    onServed(namesOf(this.#inWorker.values()));
    for (const change of changes) {
      if (change.kind === 'reload' && !unserved.has(change.file)) onReload(change.file);
    }
  }

  /** Logs a change. Returns why the worker does not serve the file; undefined when it does. */
  #report(change: CertificateChange): string | undefined {
    const { logger } = this.#parts;
    const { file } = change;
    const name = this.#folder.nameOf(file);
    const pem = this.#folder.wanted.get(file)?.pem ?? '';
    const again = change.kind === 'reload' && this.#reloaded.get(file) === pem;
    if (change.kind === 'reload' && !again) {
      this.#reloaded.set(file, pem);
      logger.info(
        { event: 'certificate-reload', name },
        `certificate ${name} is too long for a command, so HAProxy reloads`,
      );
      return undefined;
    }
    if (change.kind === 'refused' || change.kind === 'reload') {
      const reason =
        change.kind === 'refused' ? change.reason : 'HAProxy serves another one although it was reloaded for this one';
      const event = { event: 'certificate-refused', name, reason };
      if (this.#unserved.get(file) !== reason) logger.error(event, `${name}: ${reason}`);
      return reason;
    }
    logger.info({ event: `certificate-${change.kind}`, name }, `certificate ${name} ${change.kind}`);
    return undefined;
  }
}

/** The names that these certificates are for, in lower case. */
export const namesOf = (certificates: Iterable<Certificate>): ReadonlySet<string> =>
  new Set([...certificates].flatMap(({ names }) => names.map((name) => name.toLowerCase())));
