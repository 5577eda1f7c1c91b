import type { CheckTarget } from './check-target.ts';
import type { Probe } from './outcome.ts';
import { probeCommand } from './probe-command.ts';
import { probeHttp } from './probe-http.ts';
import { probeTcp } from './probe-tcp.ts';

export type ProbeParts = {
  /** For commands. */
  readonly env: Readonly<Record<string, string | undefined>>;
};

/** Makes the probe for a target. Its code is there from the start: an upgrade replaces the files of a process that runs on. */
export function openProbe(target: CheckTarget, { env }: ProbeParts): Probe {
  switch (target.kind) {
    case 'tcp':
      return (signal) => probeTcp(target, signal);
    case 'http':
      return (signal) => probeHttp(target, signal);
    case 'command':
      return (signal) => probeCommand(target.line, env, signal);
  }
}
