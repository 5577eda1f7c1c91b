import type { Container } from '../engine/container.ts';
import { formatDuration } from '../model/quantity.ts';

/** A container that is being stopped. `stopTimeoutMs`: undefined where the engine did not say it. */
export type StoppingContainer = Pick<Container, 'name'> & { readonly stopTimeoutMs: number | undefined };

/** `stopping web-1, web-2 at unix:///run/b.sock (the engine kills them after 1m30s)`. `engine`: its address, where there are several. */
export function describeStopping(containers: readonly StoppingContainer[], engine?: string): string {
  const names = containers.map(({ name }) => name).join(', ');
  const at = engine === undefined ? '' : ` at ${engine}`;
  const limits = new Set(containers.map(({ stopTimeoutMs }) => stopTimeoutMs));
  const known = [...limits].flatMap((limit) => (limit === undefined || limit < 0 ? [] : [limit]));
  // The engine waits without a limit for a negative time-out.
  if (known.length < limits.size) return `stopping ${names}${at}`;
  const after = `${limits.size > 1 ? 'at most ' : ''}${formatDuration(Math.max(...known))}`;
  return `stopping ${names}${at} (the engine kills ${containers.length === 1 ? 'it' : 'them'} after ${after})`;
}
