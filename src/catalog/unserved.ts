/** An entry of the registry that is not served as written. */
export type Unserved = {
  readonly key: string;
  readonly reason: string;
  /** HAProxy still serves the value that the key had before. */
  readonly lastGoodServes: boolean;
};
