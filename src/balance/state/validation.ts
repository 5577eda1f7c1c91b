import { unlink } from 'node:fs/promises';
import { replaceFile } from '../../fs/replace-file.ts';
import type { Validated, ValidationProblem } from '../../haproxy/check.ts';
import { withoutQuoted } from '../../haproxy/without-quoted.ts';
import type { Templates } from '../../render/render.ts';
import { originOf } from '../../render/template.ts';
import { SerialQueue } from '../../waiting/serial-queue.ts';
import type { DiskQueue } from './disk-queue.ts';
import { type BalancePaths, configMode } from './paths.ts';

export type CheckedConfig = { readonly ok: true; readonly config: string } | RefusedConfig;

type RefusedConfig = {
  readonly ok: false;
  readonly config: string;
  readonly problems: readonly ExplainedProblem[];
  /** The first problem that names a line, or the first. */
  readonly reason: string;
  /** Another program has an address, or the check took too long: HAProxy may accept the configuration later. */
  readonly mayPass?: 'address' | 'deadline' | undefined;
};

/** A problem that HAProxy reports, with the file, the line and the template that it comes from. */
export type ExplainedProblem = ValidationProblem & { readonly reason: string };

export type ValidationParts = {
  readonly paths: Pick<BalancePaths, 'candidate' | 'refused'>;
  readonly disk: DiskQueue;
  /** Writes the candidate, and deleted files that it names. */
  readonly writeCandidate: (config: string) => Promise<void>;
  /** Asks HAProxy whether it would load this file. */
  readonly check: (file: string, deadlineMs: number) => Promise<Validated>;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

// A check of 10,000 servers takes 260 ms, on a busy machine ten times as long, and 40 s when a name server does not answer. Each of
// the many checks of a bisection has less time.
const deadlines = { load: { least: 10_000, times: 20 }, bisect: { least: 3000, times: 5 }, most: 30_000 };

/** Has HAProxy validate configurations, one at a time: all use the same candidate file. */
export class Validation {
  readonly #parts: ValidationParts;
  readonly #queue = new SerialQueue();
  /** How long the last check took that HAProxy accepted, in ms. */
  #tookMs = 0;
  /** The templates that refused lines are traced back to. */
  templates: Templates;

  constructor(parts: ValidationParts, templates: Templates) {
    this.#parts = parts;
    this.templates = templates;
  }

  /** With `keep` it leaves a refused configuration on disk, for people. */
  check(config: string, keep: boolean): Promise<CheckedConfig> {
    return this.#queue.run(() => this.#check(config, keep));
  }

  async #check(config: string, keep: boolean): Promise<CheckedConfig> {
    const { paths, disk, check, now, writeCandidate } = this.#parts;
    await writeCandidate(config);
    const { least, times } = keep ? deadlines.load : deadlines.bisect;
    const began = now();
    const checked = await check(paths.candidate, Math.max(least, Math.min(this.#tookMs * times, deadlines.most)));
    if (checked.ok) this.#tookMs = now() - began;
    // Nobody needs these files to serve, so a failure of the disk changes nothing.
    const tidy = async () => {
      await unlink(paths.candidate).catch(() => undefined);
      if (keep && !checked.ok) await replaceFile(paths.refused, config, { mode: configMode });
    };
    await disk.soon(paths.candidate, tidy).catch(() => undefined);
    if (checked.ok) return { ok: true, config };
    return explain(config, checked, this.templates, keep ? paths.refused : undefined);
  }
}

/** Names the place of each problem: the line in `file`, where HAProxy's text alone says nothing, and the template that made it. */
function explain(
  config: string,
  { problems: found, mayPass }: Extract<Validated, { ok: false }>,
  templates: Templates,
  file: string | undefined,
): RefusedConfig {
  const lines = config.split('\n');
  const problems = found.map((problem) => {
    // Nothing in the file is wrong.
    if (mayPass === 'address') return { ...problem, reason: `HAProxy ${problem.text}` };
    const text = problem.line === undefined ? undefined : lines[problem.line - 1];
    const origin = text === undefined ? undefined : originOf(text, Object.values(templates));
    const line = problem.line === undefined ? '' : `:${problem.line}`;
    const made = origin === undefined ? '' : ` (made by ${origin})`;
    // Without a file on disk, the number of a line has no meaning.
    const at = file === undefined ? (origin ?? 'haproxy.cfg') : `${file}${line}${made}`;
    const says = text === undefined ? problem.text : withoutQuoted(problem.text, text);
    return { ...problem, reason: `${at}: HAProxy refuses it: ${says}` };
  });
  const first = problems.find(({ line }) => line !== undefined) ?? problems[0];
  const reason = first?.reason ?? 'HAProxy refuses it without a reason';
  return { ok: false, config, problems, reason, mayPass };
}
