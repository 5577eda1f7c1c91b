import type { CheckTarget } from './check-target.ts';
import type { Probe } from './outcome.ts';

export type ProbeParts = {
  /** For commands. */
  readonly env: Readonly<Record<string, string | undefined>>;
};

/** Makes the probe for a target, loading only what that kind needs. */
export async function openProbe(target: CheckTarget, { env }: ProbeParts): Promise<Probe> {
  switch (target.kind) {
    case 'tcp': {
      const { probeTcp } = await import('./probe-tcp.ts');
      return (signal) => probeTcp(target, signal);
    }
    case 'http': {
      const { probeHttp } = await import('./probe-http.ts');
      return (signal) => probeHttp(target, signal);
    }
    case 'command': {
      const { probeCommand } = await import('./probe-command.ts');
      return (signal) => probeCommand(target.line, env, signal);
    }
  }
}
