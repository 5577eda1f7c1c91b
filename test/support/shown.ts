import { spawnSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** A page for users, with the commands that it shows in the order in which it shows them. */
export type Page = {
  /** From the top of the repository. */
  readonly name: string;
  readonly commands: readonly string[];
  /** YAML that begins by saying how it is used: `# pointsman balance --config /etc/pointsman.yaml`. */
  readonly settings: readonly { readonly command: string; readonly text: string }[];
  /** The other YAML. */
  readonly yaml: readonly string[];
  /** Scripts that a reader saves as a file. */
  readonly scripts: readonly string[];
  /** In the middle of a sentence. */
  readonly inline: readonly string[];
  /** The flags that the page names. */
  readonly flags: readonly string[];
};

/** All pages but the reference, which is made from the code. */
export async function readPages(): Promise<readonly Page[]> {
  const docs = (await readdir(join(root, 'docs'))).filter((name) => name.endsWith('.md') && name !== 'reference.md');
  const names = ['README.md', 'CONTRIBUTING.md', ...docs.sort().map((name) => `docs/${name}`)];
  return Promise.all(names.map(async (name) => readPage(name, await readFile(join(root, name), 'utf8'))));
}

function readPage(name: string, text: string): Page {
  const fences = [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language, body = '']) => ({
    language,
    body,
  }));
  const of = (wanted: string) => fences.flatMap(({ language, body }) => (language === wanted ? [body] : []));
  const yaml = of('yaml').map((body) => {
    const [, command, rest = ''] = /^# (pointsman .*)\n([\s\S]*)$/.exec(body) ?? [];
    return { command, text: command === undefined ? body : rest };
  });
  const prose = text.replaceAll(/^```[\s\S]*?^```$/gm, '');
  return {
    name,
    commands: of('sh').flatMap(commandsIn),
    settings: yaml.flatMap(({ command, text: rest }) => (command === undefined ? [] : [{ command, text: rest }])),
    yaml: yaml.flatMap(({ command, text: rest }) => (command === undefined ? [rest] : [])),
    scripts: of('bash').filter((body) => body.startsWith('#!')),
    inline: [...prose.matchAll(/`(pointsman [a-z][^`]*)`/g)].map(([, command = '']) => command.replaceAll(/\s+/g, ' ')),
    flags: [...prose.matchAll(/`((?:--|pointsman )[^`]+)`/g)].flatMap(
      ([, span = '']) => span.match(/(?<!\S)--[a-z][a-z-]*/g) ?? [],
    ),
  };
}

/** Without what is said beside them. A command may take several lines: as many as the shell wants. */
function commandsIn(block: string): string[] {
  const commands: string[] = [];
  let open = '';
  for (const line of block.split('\n')) {
    const bare = line.replace(/(^|\s+)# .*$/, '');
    if (bare.trim() === '') continue;
    open += open === '' ? bare : `\n${bare}`;
    if (spawnSync('bash', ['-n', '-c', open]).status !== 0) continue;
    commands.push(open);
    open = '';
  }
  if (open !== '') throw new Error(`no shell takes this: ${open}`);
  return commands;
}
