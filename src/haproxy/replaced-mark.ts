import { plainMark } from './plain-mark.ts';

/** By which a worker knows that another one serves instead. */
const replacedMark = 'proc.pointsman_replaced';

/** Has a worker pass the requests on that its clients still send. It looks for the mark while it is not told that no service has a state. */
export const replacedCommands: readonly string[] = [
  'experimental-mode on',
  `set var ${replacedMark} bool(1)`,
  `set var ${plainMark} bool(0)`,
  `get var ${replacedMark}`,
  `get var ${plainMark}`,
];

/** Whether a worker took these commands, by its answers. */
export const isToldReplaced = (answers: string): boolean =>
  answers.includes('value=<1>') && answers.includes('value=<0>');
