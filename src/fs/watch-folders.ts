import { stat } from 'node:fs/promises';
import { watch } from 'chokidar';

export type WatchFoldersOptions = {
  readonly folders: readonly string[];
  readonly onChange: () => void;
  readonly onError: (error: unknown) => void;
};

/** An editor writes a file in several steps. `onChange` is called when nothing has happened for this time, in ms. */
const quietMs = 50;
/** How often to look whether another folder has the name of one that is watched, in ms. */
const lookMs = 2000;

/**
 * Calls `onChange` after files directly in these folders changed, and once when the watch has begun. It also notices that a folder
 * was moved away or made again, or that a symbolic link leads to another folder. Use it for a few files, such as templates;
 * `LinkedWatch` when the files are links into other folders; `FolderWatch` for one folder with many files.
 */
export function watchFolders({ folders, onChange, onError }: WatchFoldersOptions): () => Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      // Before `onChange`: the next look then finds a link that changes after the files were read, even when it leads back.
      lookNow();
      onChange();
    }, quietMs);
  };
  // `ready` counts as a change: files may have changed after they were first read and before the watch.
  const begin = () =>
    watch([...folders], { ignoreInitial: true, depth: 0 })
      .on('all', soon)
      .on('unlinkDir', (path) => {
        // The same folder may come back before the next look, and chokidar does not watch it any more.
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
