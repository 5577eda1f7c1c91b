import { stat } from 'node:fs/promises';
import { watch } from 'chokidar';

export type WatchFoldersOptions = {
  readonly folders: readonly string[];
  readonly onChange: () => void;
  readonly onError: (error: unknown) => void;
};

/** How long folders have to be quiet, in ms: an editor writes a file in several steps. */
const quietMs = 50;
/** How often to look whether another folder has the name of one that is watched, in ms. */
const lookMs = 2000;

/**
 * Calls `onChange` when files directly in these folders changed, and once at the beginning, when the watch stands. A folder
 * that is moved away, made again, or reached by a symbolic link that leads elsewhere now, is watched anew.
 */
export function watchFolders({ folders, onChange, onError }: WatchFoldersOptions): () => Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      // Before the files are read: a link that leads elsewhere after that is found by the next look, also when it leads back.
      lookNow();
      onChange();
    }, quietMs);
  };
  // What changed between the first reading and now is read when the watch stands.
  const begin = () =>
    watch([...folders], { ignoreInitial: true, depth: 0 })
      .on('all', soon)
      .on('unlinkDir', (path) => {
        // The same folder may come back before it is looked at, and is not watched any more.
        if (folders.includes(path)) known = 'lost';
      })
      .on('ready', soon)
      .on('error', onError);
  let known: string | undefined;
  let watcher = begin();
  let looking: Promise<void> | undefined;
  const look = async () => {
    const found = (await Promise.all(folders.map(identityOf))).join();
    if (known !== undefined && found !== known) {
      await watcher.close();
      watcher = begin();
    }
    known = found;
  };
  const lookNow = () => {
    looking ??= look()
      .catch(onError)
      .finally(() => {
        looking = undefined;
      });
  };
  lookNow();
  const tick = setInterval(lookNow, lookMs);
  return async () => {
    clearInterval(tick);
    clearTimeout(timer);
    await looking;
    await watcher.close();
    clearTimeout(timer);
  };
}

async function identityOf(folder: string): Promise<string> {
  return stat(folder).then(
    ({ dev, ino }) => `${dev}:${ino}`,
    () => 'missing',
  );
}
