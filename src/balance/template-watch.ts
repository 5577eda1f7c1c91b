import { watch } from 'chokidar';
import type { Logger } from 'pino';
import { describe } from '../model/fault.ts';
import { loadTemplates } from '../render/load-templates.ts';
import type { Templates } from '../render/render.ts';

export type TemplateWatchOptions = {
  readonly shipped: string;
  readonly own: string;
  readonly logger: Logger;
  readonly onTemplates: (templates: Templates) => void;
};

/** How long a folder has to be quiet, in ms: an editor writes a file in several steps. */
const quietMs = 50;

/** Reads the templates again whenever their folder changes. Ones that cannot be read change nothing. */
export function watchTemplates({ shipped, own, logger, onTemplates }: TemplateWatchOptions): () => Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  const reload = async () => {
    try {
      const templates = await loadTemplates(shipped, own);
      if (!closed) onTemplates(templates);
    } catch (error) {
      const reason = describe(error);
      logger.error({ event: 'template-refused', reason }, `${reason}; the templates before it stay in use`);
    }
  };
  const watcher = watch(own, { ignoreInitial: true, depth: 0 }).on('all', () => {
    clearTimeout(timer);
    timer = setTimeout(reload, quietMs);
  });
  watcher.on('error', (error) => logger.warn({ event: 'template-watch', reason: describe(error) }, 'not watched'));
  return async () => {
    closed = true;
    clearTimeout(timer);
    await watcher.close();
  };
}
