/** By which a worker knows that another one serves instead. */
const replacedMark = 'proc.pointsman_replaced';

/** Has a worker pass the requests on that its clients still send. */
export const replacedCommands: readonly string[] = [
  'experimental-mode on',
  `set var ${replacedMark} bool(1)`,
  `get var ${replacedMark}`,
];

/** Whether a worker took these commands, by its answers. */
export const isToldReplaced = (answers: string): boolean => answers.includes('value=<1>');
