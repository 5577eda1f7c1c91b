import { parseShown } from './shown-json.ts';

const patienceMs = 5000;

/** Reads JSON from this balancer. Rejects when it does not answer in time, or not with 200. */
export async function get<T>(path: string): Promise<T> {
  const answer = await fetch(path, { signal: AbortSignal.timeout(patienceMs) });
  if (!answer.ok) throw new Error(`it answered ${answer.status} to ${path}`);
  return parseShown(await answer.text());
}
