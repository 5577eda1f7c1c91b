import type { RolloutEnd, RolloutEvent } from '../rollout/roll-out.ts';
import type { NamedEngine } from './engine-of.ts';
import { colorsOf, print, printJson } from './outputs.ts';

/** Prints what happens at one engine. `others`: those that come before and after it. */
export function openReport(
  address: string,
  json: boolean,
  others: { readonly before: readonly NamedEngine[]; readonly after: readonly NamedEngine[] },
) {
  const colors = colorsOf(process.stdout);
  const before = others.before.map((one) => one.address);
  const after = others.after.map((one) => one.address);
  const at = before.length + after.length > 0 ? `${address}: ` : '';
  return {
    event(event: RolloutEvent): void {
      const { kind, ...fields } = event;
      if (json) printJson({ event: kind, engine: address, ...fields });
      else print(`${at}${describeEvent(event)}\n`);
    },
    end(end: RolloutEnd): void {
      if (json) {
        // An error is in `because`.
        const { kind, error, ...fields } = { error: undefined, ...end };
        printJson({ event: kind, engine: address, ...fields, ...(kind !== 'done' && { before, after }) });
        return;
      }
      if (end.kind === 'done') {
        print(colors.green(`${at}done\n`));
        return;
      }
      print(colors.red(`${at}${end.because}; ${describeOutcome(end)}\n`));
      if (end.kind === 'stuck' && end.todo !== '') print(colors.red(`${at}${end.todo}\n`));
      if (before.length > 0) print(colors.red(`replaced before: the containers of ${before.join(', ')}\n`));
      if (after.length > 0) print(colors.red(`untouched: the containers of ${after.join(', ')}\n`));
    },
  };
}

function describeOutcome(end: Exclude<RolloutEnd, { readonly kind: 'done' }>): string {
  switch (end.kind) {
    case 'refused':
      return 'nothing was changed';
    case 'back':
      return end.serving.length === 0 ? 'no container is left, as before' : 'the old containers serve as before';
    case 'stuck':
      return end.now;
  }
}

function describeEvent(event: RolloutEvent): string {
  if (event.kind === 'command') return `running the command, with ROLLOUT_SCALE=${event.scale}`;
  if (event.kind === 'going-back') return `going back: ${event.because}`;
  const names = event.containers.join(', ');
  const isOne = event.containers.length === 1;
  switch (event.kind) {
    case 'started':
      return `the command started ${names}`;
    case 'unguarded':
      return `the command itself stopped ${names}: use a command that only starts containers, or --order stop-first`;
    case 'served':
      return `every balancer serves ${names}`;
    case 'draining':
      return `draining ${names}`;
    case 'removed':
      return `stopped and removed ${names}`;
    case 'undrained':
      return `${names} ${isOne ? 'gets' : 'get'} requests again`;
    case 'kept':
      return `${names} ${isOne ? 'is' : 'are'} not stopped`;
  }
}
