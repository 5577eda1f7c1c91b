import type { Logger } from 'pino';
import { watchFolders } from '../fs/watch-folders.ts';
import { describe } from '../model/fault.ts';
import { loadTemplates } from './load-templates.ts';
import type { Templates } from './render.ts';

export type TemplateWatchOptions = {
  readonly shipped: string;
  readonly own: string;
  /** Those in use. */
  readonly current: Templates;
  readonly logger: Logger;
  readonly onTemplates: (templates: Templates) => void;
};

/** Reads the templates again whenever their folder changes. Ones that cannot be read change nothing. */
export function watchTemplates({
  shipped,
  own,
  current,
  logger,
  onTemplates,
}: TemplateWatchOptions): () => Promise<void> {
  let closed = false;
  let inUse = current;
  const reload = async () => {
    try {
      const templates = await loadTemplates(shipped, own);
      if (closed || sameTexts(templates, inUse)) return;
      inUse = templates;
      onTemplates(templates);
    } catch (error) {
      const reason = describe(error);
      logger.error({ event: 'template-refused', reason }, `${reason}; the templates before it stay in use`);
    }
  };
  const close = watchFolders({
    folders: [own],
    onChange: reload,
    onError: (error) => logger.warn({ event: 'template-watch', reason: describe(error) }, 'not watched'),
  });
  return async () => {
    closed = true;
    await close();
  };
}

function sameTexts(a: Templates, b: Templates): boolean {
  return (['frame', 'policy', 'backend', 'server'] as const).every((role) => a[role].text === b[role].text);
}
