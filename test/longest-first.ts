import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files that take more than half a minute, the longest first. A fresh clone knows no durations, so Vitest would start the largest
 * file first, and a long one that starts last keeps one core waiting for it.
 */
const longest = [
  'soak',
  'register-return',
  'docs',
  'see',
  'status',
  'haproxy/restart',
  'replaced-history',
  'held-entries',
  'containers/containers',
  'containers/docker',
  'containers/labels',
  'containers/podman-labels',
  'acknowledgements',
  'balance',
  'haproxy/deleted-folders',
  'last-known',
  'override-commands',
  'haproxy/taken-ports',
].map((name) => `/test/${name}.test.ts`);

const rankOf = ({ moduleId, project }: TestSpecification): number => {
  if (project.name === 'unit') return longest.length + 1;
  const rank = longest.findIndex((path) => moduleId.endsWith(path));
  return rank === -1 ? longest.length : rank;
};

/** Starts the longest files first. Unit tests come last, one after the other: they share a process, since they are not isolated. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.sort((a, b) => rankOf(a) - rankOf(b));
  }
}
