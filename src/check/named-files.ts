import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Catalog } from '../catalog/catalog.ts';
import type { Service } from '../catalog/service.ts';
import type { Declared } from '../declarations/declared.ts';
import { parseKey } from '../model/key.ts';
import { type Problem, problemAt } from '../model/problem.ts';

/** The folders of a balancer with the files that policies name. */
export type NamedFolders = { readonly errorPages: string; readonly serverTls: string; readonly secrets: string };

type Named = {
  readonly path: readonly string[];
  readonly files: readonly string[];
  readonly folder: string;
  readonly flag: string;
};

/** Files that policies name and that are not here. `paths`: those that HAProxy would not find either. */
export type MissingFiles = { readonly problems: readonly Problem[]; readonly paths: ReadonlySet<string> };

const hint = 'give the settings of a balancer with --config, or use --without-haproxy where these files are not';

/** Finds the missing files, one problem for each field of a policy, at the place of the field. */
export async function missingFiles(
  entries: readonly Declared[],
  { services }: Pick<Catalog, 'services'>,
  folders: NamedFolders,
): Promise<MissingFiles> {
  const known = new Map<string, Promise<ReadonlySet<string> | undefined>>();
  const filesIn = (folder: string) => {
    const found = known.get(folder) ?? namesIn(folder);
    known.set(folder, found);
    return found;
  };
  const problems: Problem[] = [];
  const paths = new Set<string>();
  for (const entry of entries) {
    const key = parseKey(entry.key);
    const service = key.ok && key.value.kind === 'policy' ? services.get(key.value.service) : undefined;
    if (service === undefined) continue;
    for (const { path, files, folder, flag } of filesOf(service, folders)) {
      const here = await filesIn(folder);
      // HAProxy does not need the files of secrets, and only a balancer has them. Others may not read their folder.
      if (here === undefined && folder === folders.secrets) continue;
      const lacks = files.filter((file) => here?.has(file) !== true);
      if (lacks.length === 0) continue;
      const place = entry.placeOf(path);
      const what = `${path.join('.')}: ${lacks.join(', ')} ${lacks.length === 1 ? 'is' : 'are'} not in ${folder} (${flag})`;
      problems.push(problemAt(place.file, place, what, hint));
      for (const file of lacks) paths.add(join(folder, file));
    }
  }
  return { problems, paths };
}

/** The names of the files of a folder; undefined when it is not here or cannot be read. */
async function namesIn(folder: string): Promise<ReadonlySet<string> | undefined> {
  return readdir(folder).then(
    (names) => new Set(names),
    () => undefined,
  );
}

function filesOf({ policy }: Service, { errorPages, serverTls, secrets }: NamedFolders): readonly Named[] {
  const pages = policy.errorPages;
  const names = pages === undefined ? [] : [...new Set([...pages.own.values(), ...pages.ofServers.values()])];
  const { authority, certificate } = policy.tls ?? {};
  const users = policy.auth?.basic?.users;
  const keys = policy.auth?.jwt?.keys;
  const one = (file: string | undefined) => (file === undefined ? [] : [file]);
  return [
    {
      ...{ path: ['errorPages'], files: names.map((name) => `${name}.html`) },
      ...{ folder: errorPages, flag: '--error-pages' },
    },
    {
      ...{ path: ['tls', 'ca'], files: authority?.kind === 'file' ? [authority.file] : [] },
      ...{ folder: serverTls, flag: '--server-tls' },
    },
    { path: ['tls', 'certificate'], files: one(certificate), folder: serverTls, flag: '--server-tls' },
    { path: ['auth', 'basic', 'users'], files: one(users), folder: secrets, flag: '--secrets' },
    { path: ['auth', 'jwt', 'keys'], files: one(keys), folder: secrets, flag: '--secrets' },
  ];
}
