import { Fault } from '../model/fault.ts';
import { keepStaged, readDestination } from './place-file.ts';
import type { PreparedFile } from './prepare-files.ts';
import type { RegistrySources } from './sources.ts';

/** The change that writing a file would make; undefined `before`: there is no file. */
export type FilePreview = {
  readonly dest: string;
  readonly before: string | undefined;
  readonly after: string;
};

/** Renders the files without writing them and without commands. A Fault for each file that cannot be rendered. */
export async function previewFiles(
  files: readonly PreparedFile[],
  sources: RegistrySources,
): Promise<readonly (FilePreview | Fault)[]> {
  return Promise.all(
    files.map(async ({ job, template }) => {
      try {
        if (job.refused !== undefined) throw job.refused;
        const denied = sources.denialOf({ uses: template.uses, keys: job.keys });
        if (denied !== undefined) return denied;
        const made = await template.render(sources.view({ uses: template.uses, keys: job.keys }));
        if (job.keepStaged === true) await keepStaged(job, made);
        const after = typeof made === 'string' ? made : made.toString('utf8');
        return { dest: job.dest, before: await readDestination(job.dest), after };
      } catch (error) {
        if (error instanceof Fault) return error;
        throw error;
      }
    }),
  );
}
