import { spawn } from 'node:child_process';
import { describe, errorCode } from '../model/fault.ts';
import type { AcmeSettings } from '../settings/acme.ts';
import type { SetRecord } from './proofs.ts';

type DnsSettings = NonNullable<AcmeSettings['dns']>;

/** How long a command may take, in ms: some wait until the record has reached all nameservers. */
const commandMs = 300_000;
const updateMs = 30_000;
const mostOutput = 2000;

/** How long resolvers may remember a record, in s. */
const timeToLive = 60;

/** Sets the records of DNS-01 as the settings say. */
export function recordSetter(dns: DnsSettings, env: Readonly<Record<string, string | undefined>>): SetRecord {
  switch (dns.kind) {
    // lego's convention for `exec`, so that the commands for it work here.
    case 'command':
      return (action, name, value, signal) =>
        run(dns.file, [action, name, value], { env: { ...env, EXEC_MODE: 'default' }, ms: commandMs, signal });
    case 'update':
      return (action, name, value, signal) => {
        const key = dns.keyFile === undefined ? [] : ['-k', dns.keyFile];
        const input = updateOf(dns.server, action, name, value);
        return run('nsupdate', [...key, '-t', '20'], { env, ms: updateMs, signal, input });
      };
  }
}

/** What nsupdate reads. Only the one value is removed: the orders of a name and of its wildcard have records of the same name. */
export function updateOf(server: string, action: 'present' | 'cleanup', name: string, value: string): string {
  const [, host = server, port = '53'] = /^(?:\[(?=.*\]))?([^\]]*?)\]?(?::(\d+))?$/.exec(server) ?? [];
  const change = action === 'present' ? `add ${name} ${timeToLive} TXT` : `delete ${name} TXT`;
  return `server ${host} ${port}\nupdate ${change} "${value}"\nsend\n`;
}

type RunOptions = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly ms: number;
  readonly signal: AbortSignal;
  readonly input?: string;
};

/** Runs a program to its end, or ends it with all that it started when its time is over. Rejects with an Error that has its output. */
function run(file: string, args: readonly string[], { env, ms, signal, input }: RunOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(new Error(`${file}: pointsman ends`));
      return;
    }
    const child = spawn(file, args, { env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    let overdue: string | undefined;
    const take = (part: Buffer) => {
      output = `${output}${part}`.slice(-mostOutput);
    };
    const end = (reason: string) => {
      overdue ??= reason;
      killGroup(child.pid);
    };
    const timer = setTimeout(() => end(`it took longer than ${ms / 1000} s`), ms);
    const onAbort = () => end('pointsman ends');
    signal.addEventListener('abort', onAbort, { once: true });
    const finish = (failure: string | undefined) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      // A process that it left behind must not keep the pipes open.
      child.stdout.destroy();
      child.stderr.destroy();
      const said = output.trim();
      if (failure === undefined) resolve();
      else reject(new Error(`${file}: ${overdue ?? failure}${said === '' ? '' : `: ${said}`}`));
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.stdin.on('error', () => undefined).end(input);
    child.on('error', (error) => finish(errorCode(error) === 'ENOENT' ? 'there is no such program' : describe(error)));
    child.on('exit', (code, by) => {
      // What it printed last may still be in the pipe.
      setImmediate(() => finish(code === 0 ? undefined : by === null ? `exit code ${code}` : `ended by ${by}`));
    });
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of it is gone already.
  }
}
