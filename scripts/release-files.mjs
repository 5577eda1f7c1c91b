// What a release has beside the bundle, all in dist/: the licences of what was bundled, a bill of materials (CycloneDX) and
// the manual page. The same sources give the same bytes.
import { spawnSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const [noticesFile, billFile, manualFile] = ['THIRD-PARTY-NOTICES.txt', 'sbom.cdx.json', 'pointsman.1'];
export const releaseFiles = [noticesFile, billFile, manualFile];

/**
 * Their names and what they say. The bundle has to be in its place.
 * @param {{ root: string, inputs: readonly string[] }} build `inputs`: the files that went into the bundle
 * @returns {Promise<readonly (readonly [string, string])[]>}
 */
export async function makeReleaseFiles({ root, inputs }) {
  const folders = [...new Set(inputs.flatMap((path) => packageFolderOf(path) ?? []))].sort();
  const bundled = await Promise.all(folders.map((folder) => readPackage(join(root, folder))));
  return [
    [noticesFile, notices(bundled)],
    [billFile, `${JSON.stringify(billOfMaterials(root, bundled), undefined, 2)}\n`],
    [manualFile, run(root, 'bin/pointsman', ['man'])],
  ];
}

/** `node_modules/a/node_modules/@b/c` of `node_modules/a/node_modules/@b/c/lib/index.js`. */
const packageFolderOf = (/** @type {string} */ path) =>
  /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0];

/**
 * @typedef {{ name: string, version: string, license: string, texts: readonly string[] }} Bundled
 * @param {string} folder
 * @returns {Promise<Bundled>}
 */
async function readPackage(folder) {
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  if (typeof license !== 'string') throw new Error(`${folder} does not say its licence`);
  const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file)).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  return { name, version, license, texts: texts.map((text) => text.replaceAll('\r\n', '\n').trim()) };
}

/** @param {readonly Bundled[]} bundled */
function notices(bundled) {
  const sections = bundled.map(({ name, version, license, texts }) =>
    [`${'-'.repeat(80)}\n${name} ${version} (${license})`, ...texts].join('\n\n'),
  );
  return `pointsman contains these packages, each under its own licence.\n\n${sections.join('\n\n')}\n`;
}

/**
 * npm's own bill of all that is installed, less what is not in the bundle.
 * @param {string} root
 * @param {readonly Bundled[]} bundled
 */
function billOfMaterials(root, bundled) {
  const all = JSON.parse(run(root, 'npm', ['sbom', '--sbom-format=cyclonedx', '--sbom-type=application']));
  const top = all.metadata.component;
  const inBundle = new Set(bundled.map(({ name, version }) => `${name}@${version}`));
  const components = all.components
    .filter((/** @type {{ 'bom-ref': string }} */ component) => inBundle.has(component['bom-ref']))
    // That npm installs them for development only says how they come into the bundle, not that they are optional.
    .map((/** @type {object} */ component) => ({ ...component, scope: 'required', properties: [] }));
  if (components.length < inBundle.size) {
    throw new Error(`npm sbom knows ${components.length} of the ${inBundle.size} packages in the bundle`);
  }
  const dependencies = all.dependencies
    .filter((/** @type {{ ref: string }} */ { ref }) => ref === top['bom-ref'] || inBundle.has(ref))
    .map((/** @type {{ ref: string, dependsOn: string[] }} */ { ref, dependsOn }) => ({
      ref,
      dependsOn: dependsOn.filter((on) => inBundle.has(on)),
    }));
  // Its serial number and its time differ from run to run, and it takes the folder's name for the package's.
  const { serialNumber: _, ...rest } = all;
  const { timestamp: __, ...metadata } = all.metadata;
  return { ...rest, metadata: { ...metadata, component: { ...top, name: 'pointsman' } }, components, dependencies };
}

/**
 * @param {string} root
 * @param {string} command
 * @param {readonly string[]} args
 */
function run(root, command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, maxBuffer: 64 * 1024 * 1024 });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  return stdout.toString();
}
