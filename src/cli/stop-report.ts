import { formatInstant } from '../model/instant.ts';
import type { ServiceName } from '../model/name.ts';
import type { StopOutcome } from '../rollout/stop-drained.ts';
import { print, printJson } from './outputs.ts';

/** A container that the engine was asked to stop. */
export type AskedContainer = {
  readonly id: string;
  readonly name: string;
  /** An agent had registered it. */
  readonly isDrained: boolean;
  /** The balancers that vanished before they had drained it. */
  readonly vanished: readonly string[];
  /** When its drain ends by itself, in ms since 1970, if it still stands. */
  readonly until: number | undefined;
  /** The services of all stopped containers that no other instance takes requests of. */
  readonly last: readonly ServiceName[];
};

/** Prints what became of a container. */
export function reportStop(container: AskedContainer, outcome: StopOutcome, json: boolean): void {
  const { id, name, isDrained, vanished, until, last } = container;
  const drainedUntil = until === undefined ? undefined : formatInstant(until);
  const { kind } = outcome;
  const because = 'because' in outcome ? outcome.because : undefined;
  const drained = isDrained && vanished.length === 0;
  if (json) printJson({ container: name, id, outcome: kind, drained, because, drainedUntil, last, vanished });
  else print(`${name}: ${describeStop(outcome, container, drainedUntil)}\n`);
}

function describeStop(
  outcome: StopOutcome,
  { isDrained, vanished }: AskedContainer,
  drainedUntil: string | undefined,
): string {
  switch (outcome.kind) {
    case 'stopped':
      if (vanished.length > 0) return `stopped; not drained by ${vanished.join(', ')}`;
      return isDrained ? 'drained and stopped' : 'stopped; no agent had registered it';
    case 'not-running':
      return 'was not running, so there was nothing to stop';
    case 'runs':
      return `it runs on, not drained: ${outcome.because}`;
    case 'unclear':
      return `it may run on${drainedUntil === undefined ? '' : `, drained until ${drainedUntil}`}: ${outcome.because}`;
  }
}
