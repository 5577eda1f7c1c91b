import { plainMark } from './plain-mark.ts';

/** The variable that tells a worker that another worker serves instead. */
const replacedMark = 'proc.pointsman_replaced';

/** Make a worker pass on the requests that its clients still send. The worker looks for this mark only without the plain mark. */
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
