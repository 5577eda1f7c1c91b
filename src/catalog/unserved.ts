/** An entry of the registry that is not served as it stands there. */
export type Unserved = {
  readonly key: string;
  readonly reason: string;
  /** What the key held before goes on being served. */
  readonly lastGoodServes: boolean;
};
