import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** The last commit before a planned restart left HAProxy running: upgrades from it, and going back to it, must work. */
export const olderCommit = '6c4e8ee';

export type OlderBuild =
  | { readonly executable: string; readonly remove: () => Promise<void> }
  /** Why it cannot be had here. */
  | { readonly missing: string };

/** Builds pointsman as it was at `olderCommit`, in a folder of its own, with the dependencies of today. */
export async function buildOlder(from: string = root): Promise<OlderBuild> {
  const archive = spawnSync('git', ['archive', olderCommit], { cwd: from, maxBuffer: 2 ** 28 });
  if (archive.status !== 0) return { missing: `this clone has no commit ${olderCommit}: ${archive.stderr}` };
  const dir = await mkdtemp(join(tmpdir(), 'pm-older-'));
  const remove = () => rm(dir, { recursive: true, force: true });
  const source = join(dir, 'pointsman');
  await mkdir(source);
  const steps = [
    spawnSync('tar', ['-x', '-C', source], { input: archive.stdout }),
    await symlink(join(from, 'node_modules'), join(source, 'node_modules')),
    spawnSync(process.execPath, ['scripts/build.mjs', '--quiet'], { cwd: source }),
  ];
  const failed = steps.find((step) => step !== undefined && step.status !== 0);
  if (failed === undefined) return { executable: join(source, 'bin/pointsman'), remove };
  await remove();
  return { missing: `commit ${olderCommit} cannot be built with the dependencies of today: ${failed.stderr}` };
}
