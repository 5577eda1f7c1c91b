import { watch } from 'chokidar';
import type { Logger } from 'pino';
import { describe } from '../model/fault.ts';
import { loadTemplates } from '../render/load-templates.ts';
import type { Templates } from '../render/render.ts';

export type TemplateWatchOptions = {
  readonly shipped: string;
  readonly own: string;
  /** Those in use. */
  readonly current: Templates;
  readonly logger: Logger;
  readonly onTemplates: (templates: Templates) => void;
};

/** How long a folder has to be quiet, in ms: an editor writes a file in several steps. */
const quietMs = 50;

/** Reads the templates again whenever their folder changes. Ones that cannot be read change nothing. */
export function watchTemplates({
  shipped,
  own,
  current,
  logger,
  onTemplates,
}: TemplateWatchOptions): () => Promise<void> {
  let timer: NodeJS.Timeout | undefined;
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
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(reload, quietMs);
  };
  // What changed between their first reading and now is read when the watch stands.
  const watcher = watch(own, { ignoreInitial: true, depth: 0 }).on('all', soon).on('ready', soon);
  watcher.on('error', (error) => logger.warn({ event: 'template-watch', reason: describe(error) }, 'not watched'));
  return async () => {
    closed = true;
    clearTimeout(timer);
    await watcher.close();
  };
}

function sameTexts(a: Templates, b: Templates): boolean {
  return (['frame', 'policy', 'backend', 'server'] as const).every((role) => a[role].text === b[role].text);
}
