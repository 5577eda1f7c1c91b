import { watch } from 'chokidar';

export type FolderWatchOptions = {
  readonly folders: readonly string[];
  readonly onChange: () => void;
  readonly onError: (error: unknown) => void;
};

/** How long folders have to be quiet, in ms: an editor writes a file in several steps. */
const quietMs = 50;

/** Calls `onChange` when files directly in these folders changed, and once at the beginning, when the watch stands. */
export function watchFolders({ folders, onChange, onError }: FolderWatchOptions): () => Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(onChange, quietMs);
  };
  // What changed between the first reading and now is read when the watch stands.
  const watcher = watch([...folders], { ignoreInitial: true, depth: 0 })
    .on('all', soon)
    .on('ready', soon);
  watcher.on('error', onError);
  return async () => {
    await watcher.close();
    clearTimeout(timer);
  };
}
