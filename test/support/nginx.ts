import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { onTestFinished } from 'vitest';
import { ask } from './ask.ts';
import { freePort } from './ports.ts';
import { until } from './until.ts';

// Debian keeps it in /usr/sbin, which is on root's PATH only.
const env = { PATH: `${process.env['PATH']}:/usr/sbin` };

/** A real nginx in a folder of its own, whose configuration includes `pointsman.conf` there. Ended with the test. */
export async function startNginx(dir: string) {
  const port = await freePort();
  const path = (name: string) => join(dir, name);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${path(of)};`);
  await mkdir(dir, { recursive: true });
  await writeFile(path('pointsman.conf'), '');
  await writeFile(
    path('nginx.conf'),
    `daemon off;
worker_processes 1;
pid ${path('nginx.pid')};
events {}
http {
    access_log off;
    ${temporary.join('\n    ')}
    server { listen 127.0.0.1:${port} default_server; return 404 nobody; }
    include ${path('pointsman.conf')};
}
`,
  );
  const running = execa('nginx', ['-e', path('error.log'), '-c', path('nginx.conf')], { env, reject: false });
  onTestFinished(async () => {
    running.kill('SIGQUIT');
    await running;
  });
  await until('nginx answers', async () => (await ask(port, 'any')).body === 'nobody', { deadlineMs: 20_000 });
  return {
    port,
    env,
    conf: path('pointsman.conf'),
    main: path('nginx.conf'),
    /** The commands of templates/examples/pointsman-nginx.yaml, for this folder. */
    check: `sh -c 'sed "s|${path('pointsman.conf')}|{{staged}}|" ${path('nginx.conf')} > ${path('check.conf')} && nginx -q -t -e stderr -c ${path('check.conf')}'`,
    reload: `nginx -e stderr -c ${path('nginx.conf')} -s reload`,
    /** The different answers of a dozen requests, sorted. */
    async answers(host: string): Promise<string> {
      const bodies = new Set<string>();
      for (let i = 0; i < 12; i += 1) bodies.add((await ask(port, host)).body);
      return [...bodies].sort().join();
    },
    errors: () => readFile(path('error.log'), 'utf8'),
  };
}
