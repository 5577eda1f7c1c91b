import { Fault } from '../model/fault.ts';

const longest = 200;

/** HAProxy answered with something that is no answer to this command: an error, most often. */
export function unexpectedAnswer(command: string, answer: string): Fault {
  const text = answer.trim();
  const said = text.length > longest ? `${text.slice(0, longest)}…` : text;
  return new Fault('haproxy-runtime', `HAProxy answered ${JSON.stringify(said)} to ${JSON.stringify(command)}`);
}
