import { execa } from 'execa';
import { Fault } from '../model/fault.ts';
import { apart, runWithin } from './processes.ts';

/** An error that HAProxy finds. Errors after parsing name a proxy or a server in quotes, and often no line. */
export type ValidationProblem = { readonly line: number | undefined; readonly text: string };
export type Validated =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly problems: readonly ValidationProblem[];
      /** It may be over by itself: somebody else has an address, or the check took too long. */
      readonly mayPass?: 'address' | 'deadline' | undefined;
    };

/**
 * Asks HAProxy itself whether it would start with this file (`-c`). Rejects with a Fault when it cannot be asked, or when
 * `signal` aborts, which ends the check.
 */
export async function validateConfig(
  haproxy: string,
  file: string,
  deadlineMs: number,
  signal?: AbortSignal,
): Promise<Validated> {
  const run = await runWithin(haproxy, ['-c', '-f', file], { deadlineMs, graceMs: 1000, signal });
  if (run.exitCode === 0) return { ok: true };
  if (run.ended === 'signal')
    throw new Fault('config-check', 'the check was stopped because pointsman ends', { where: file });
  if (run.ended === 'deadline') {
    return { ok: false, problems: [tooSlow(deadlineMs)], mayPass: 'deadline' };
  }
  if (run.exitCode === undefined) {
    throw new Fault('config-check', run.failure ?? 'HAProxy could not be run', { where: haproxy, cause: run.cause });
  }
  return { ok: false, problems: parseValidationOutput(run.output) };
}

export const tooSlow = (deadlineMs: number): ValidationProblem => ({
  line: undefined,
  text: `the check took longer than ${Math.round(deadlineMs)} ms; a host name that does not resolve is a common cause`,
});

/** Finds what is wrong in the output of `haproxy -c`: `[ALERT] (1) : config : parsing [/x/haproxy.cfg:12] : …`. */
export function parseValidationOutput(output: string): readonly ValidationProblem[] {
  const problems: ValidationProblem[] = [];
  for (const line of output.split('\n')) {
    const alert = /^\[ALERT\]\s*\(\d+\)\s*:\s*(?:config\s*:\s*)?(.*)$/.exec(line);
    const text = alert?.[1];
    // The last lines only say that there were errors.
    if (text === undefined || /^(Error\(s\) found|Fatal errors found|config : Fatal)/i.test(text)) continue;
    const parsing = /^(?:parsing )?\[[^\]]*:(\d+)\]\s*:\s*(.*)$/i.exec(text);
    problems.push(parsing ? { line: Number(parsing[1]), text: parsing[2] ?? '' } : { line: undefined, text });
  }
  return problems.length > 0 ? problems : [{ line: undefined, text: output.trim().split('\n').at(-1) ?? '' }];
}

/** HAProxy's version, `2.6.12`. Rejects with Fault `haproxy-missing`. */
export async function readVersion(haproxy: string): Promise<string> {
  const run = await execa(haproxy, ['-v'], { ...apart, reject: false, timeout: 5000, stdin: 'ignore' });
  const version = /version (\d+\.\d+[^\s-]*)/.exec(run.stdout ?? '');
  if (run.exitCode === 0 && version?.[1] !== undefined) {
    const [major = 0, minor = 0] = version[1].split('.').map(Number);
    if (major > 2 || (major === 2 && minor >= 6)) return version[1];
    throw new Fault('haproxy-missing', `${haproxy} is HAProxy ${version[1]}, and pointsman needs 2.6 or later`, {
      where: '--haproxy',
      hint: 'install a newer version, or name one with --haproxy PATH',
    });
  }
  const missing = run.code === 'ENOENT' || run.code === 'EACCES';
  throw new Fault('haproxy-missing', missing ? `${haproxy} does not exist or cannot be run` : `${haproxy} -v failed`, {
    where: '--haproxy',
    hint: 'install HAProxy 2.6 or later (as root: apt-get install haproxy), or name it with --haproxy PATH',
    cause: run,
  });
}
