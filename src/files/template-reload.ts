import { dirname } from 'node:path';
import type { Logger } from 'pino';
import { watchFolders } from '../fs/watch-folders.ts';
import { describe, type Fault, faultsOf } from '../model/fault.ts';
import type { FileJob } from './file-job.ts';
import type { FileTemplate } from './file-template.ts';
import type { PreparedFile } from './prepare-files.ts';

export type TemplateReloadParts = {
  readonly files: readonly PreparedFile[];
  readonly load: (job: FileJob) => Promise<FileTemplate>;
  readonly onTemplate: (job: FileJob, template: FileTemplate) => void;
  /** The template on disk is the one in use: it was not touched, or it is there again. */
  readonly onSame: (job: FileJob) => void;
  readonly onRefused: (job: FileJob, fault: Fault) => void;
  readonly logger: Logger;
};

/** Reads templates again when they, or partials in their folder, change; one that is broken is refused. */
export function reloadTemplates({
  files,
  load,
  onTemplate,
  onSame,
  onRefused,
  logger,
}: TemplateReloadParts): () => Promise<void> {
  const inUse = new Map(files.map(({ job, template }) => [job.dest, template]));
  let closed = false;
  const reload = async (job: FileJob) => {
    try {
      const template = await load(job);
      const before = inUse.get(job.dest);
      if (closed) return;
      if (before !== undefined && sameTexts(before, template)) {
        onSame(job);
        return;
      }
      inUse.set(job.dest, template);
      onTemplate(job, template);
    } catch (error) {
      if (closed) return;
      const [fault] = faultsOf(error);
      if (fault !== undefined) onRefused(job, fault);
    }
  };
  const close = watchFolders({
    folders: [...new Set(files.flatMap(({ job }) => [dirname(job.src), job.confdTemplates ?? dirname(job.src)]))],
    onChange: () => void Promise.all(files.map(({ job }) => reload(job))),
    onError: (error) =>
      logger.warn({ event: 'template-watch', reason: describe(error) }, 'pointsman cannot watch the templates'),
  });
  return async () => {
    closed = true;
    await close();
  };
}

function sameTexts({ sources: a }: FileTemplate, { sources: b }: FileTemplate): boolean {
  return a.length === b.length && a.every(({ file, text }, i) => b[i]?.file === file && b[i].text === text);
}
