import { existsSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { dirname } from 'node:path';
import { restoreEnvironment } from '../model/passed-environment.ts';
import { printable } from '../model/printable.ts';
import { failed, reportFaults } from './exit-code.ts';
import { errorText, journalReads } from './journal.ts';
import { print, watchOutputs } from './outputs.ts';
import { runProgram } from './program.ts';
import { secretVariables } from './secrets.ts';

// This file is bundled as dist/pointsman.js and never moves within the package.
const packageFolder = dirname(import.meta.dirname);

// Node.js prints warnings for its developers, such as one of each TLS connection to an IP address, between our JSON lines.
process.noDeprecation = true;

/** How long an open handle may keep a finished process. */
const lingerMs = 2000;

async function main(): Promise<number> {
  restoreEnvironment(process.env);
  const env = { ...process.env };
  // Whatever we start inherits what is left: HAProxy, its checks, and other people's commands.
  for (const name of [...secretVariables, 'NOTIFY_SOCKET']) delete process.env[name];
  const machine = {
    hostname: hostname(),
    home: homeOf(env),
    stateHome: env['XDG_STATE_HOME'] || undefined,
    root: process.getuid?.() === 0,
  };
  try {
    const [name, ...rest] = process.argv.slice(2);
    const run = name === 'confd' ? await confdCall(rest, env) : { args: process.argv.slice(2), env };
    if (typeof run === 'number') return run;
    return await runProgram(run.args, { env: run.env, machine, packageFolder });
  } catch (error) {
    const faults = reportFaults(error);
    if (faults === undefined) {
      const trace = error instanceof Error ? error.stack : String(error);
      const text = `pointsman: a bug in pointsman; please report it with these lines\n${trace}\n`;
      print(errorText(text, journalReads(env)), process.stderr);
      return failed;
    }
    for (const line of faults.lines) print(errorText(`${printable(line)}\n`, journalReads(env)), process.stderr);
    return faults.exitCode;
  }
}

/** What docker/confd is called with, as a call of pointsman; the exit code when it is refused, which was printed then. */
async function confdCall(argv: readonly string[], env: NodeJS.ProcessEnv) {
  const { translateConfdFlags } = await import('./confd-flags.ts');
  const call = translateConfdFlags(argv, env, existsSync);
  const say = (text: string) => print(`confd (pointsman): ${printable(text)}\n`, process.stderr);
  if (!call.ok) {
    say(call.reason);
    return call.exitCode;
  }
  const { args, ignored } = call.value;
  if (ignored.length > 0) say(`ignored, because they have no effect: ${ignored.join(', ')}`);
  return { args, env: { ...env, ...call.value.env } };
}

/** A container's user has no home when neither the environment nor /etc/passwd names one. */
function homeOf(env: NodeJS.ProcessEnv): string | undefined {
  if (env['HOME'] !== undefined) return env['HOME'] || undefined;
  try {
    return homedir();
  } catch {
    return undefined;
  }
}

watchOutputs(process);
process.exitCode = await main();
setTimeout(() => process.exit(), lingerMs).unref();
