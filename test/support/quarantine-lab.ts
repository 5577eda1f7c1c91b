import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFailed, onTestFinished } from 'vitest';
import { loadTemplates } from '../../src/render/load-templates.ts';
import { type TemplateRole, templateFiles } from '../../src/render/template.ts';
import { startApp } from './app.ts';
import { startBalancer, type TestBalancer } from './balancer.ts';
import { answers } from './serving.ts';

const shipped = join(import.meta.dirname, '../../templates');

/** Own templates: a service is as good as the file that its health check's path names, and an instance as its meta. */
export async function startLab(options: Parameters<typeof startBalancer>[0] = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'pm-lab-'));
  const pages = join(folder, 'pages');
  const own = join(folder, 'templates');
  await mkdir(pages);
  await mkdir(own);
  const change = async (role: TemplateRole, edit: (text: string) => string): Promise<void> => {
    const name = templateFiles[role];
    await writeFile(join(own, name), edit(await readFile(join(shipped, name), 'utf8')));
  };
  const page = (name: string) => writeFile(join(pages, name), 'HTTP/1.0 503 x\r\n\r\n');
  await change(
    'policy',
    (text) => `${text.trimEnd()}\n{{#httpCheck}}\n    errorfile 503 ${pages}{{path}}\n{{/httpCheck}}\n\n`,
  );
  await change('server', (text) => `${text.trimEnd()}{{#meta.x}} {{meta.x}}{{/meta.x}}\n`);
  await page('good');
  const apps = await Promise.all(['one', 'two', 'three'].map((name) => startApp(name)));
  onTestFinished(async () => {
    await Promise.all(apps.map((app) => app.close()));
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  });
  const [one, two, three] = apps.map(({ address }) => address);
  const start = async (more: Parameters<typeof startBalancer>[0] = {}): Promise<TestBalancer> => {
    const started = await startBalancer({ templates: own, ...options, ...more });
    onTestFailed(() => {
      const lines = started.lines.filter((line) => !line.includes('HAProxy says'));
      process.stderr.write(`${lines.slice(-60).join('')}\n`);
    });
    return started;
  };
  return {
    page,
    removePage: (name: string) => rm(join(pages, name)),
    change,
    one: one ?? '',
    two: two ?? '',
    three: three ?? '',
    /** Has the balancer use the templates as they are now. */
    use: async ({ balancer }: TestBalancer) => balancer.useTemplates(await loadTemplates(shipped, own)),
    start,
    /** A balancer that serves these entries, until the test ends. */
    async startWith(entries: Readonly<Record<string, string>>): Promise<TestBalancer> {
      const balancer = await start();
      onTestFinished(() => balancer.stop());
      balancer.snapshot(entries);
      await balancer.balancer.start();
      return balancer;
    },
  };
}

export const policy = (path: string, more: object = {}) => JSON.stringify({ check: { kind: 'http', path }, ...more });

export const serves = ({ port }: TestBalancer, host: string, body: string) => answers(port, host, body);
