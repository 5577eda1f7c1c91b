/** The code that Node gives an error of the system, `ENOENT` for one. */
export const errorCode = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined;
