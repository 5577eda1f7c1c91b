/**
 * How every child process is started with execa. `cleanup: false`, because execa would otherwise end pointsman itself at
 * the first SIGTERM or SIGINT while a child runs, before pointsman has ended in order. `detached`, a process group of its
 * own, so that Ctrl-C on a terminal reaches pointsman alone.
 */
export const apart = { cleanup: false, detached: true } as const;
