import { access } from 'node:fs/promises';

/** Whether there is a file, or a folder, that this process can reach. */
export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
