// `npm run release-check [ID…]`: runs the checks of scripts/release-checks.json that take too long for `npm test`, and some that
// are in it. Writes what was run where into docs/where-run.json, and the table of docs/install.md from it. Without an ID it runs
// all of them. Ends with 1 when a check fails.
//
// A check is a command. It fails when it ends with another code than 0; 69 means that this machine lacks something. It may add
// lines to the file RELEASE_CHECK_REPORT: where it ran, what it measured, or `lacking: REASON` (test/release/report.ts).
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {{ id: string, what: string, run?: readonly string[], notRun?: string }} Check `notRun`: why it never is
 * @typedef {{ result: 'passed' | 'failed' | 'lacking', where: string, on: string, commit: string, seconds: number }} Result
 */

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const checksFile = join(root, 'scripts/release-checks.json');
const resultsFile = join(root, 'docs/where-run.json');
const page = join(root, 'docs/install.md');
const [start, end] = ['<!-- where-run -->\n', '<!-- end of where-run -->\n'];
const lackingCode = 69;

/** @returns {readonly Check[]} */
export const readChecks = () => JSON.parse(readFileSync(checksFile, 'utf8'));

/** @returns {Record<string, Result>} */
const readResults = () => JSON.parse(readFileSync(resultsFile, 'utf8'));

/**
 * The page with the table of these results.
 * @param {string} text
 */
export function withTable(text, checks = readChecks(), results = readResults()) {
  const [before, rest] = text.split(start);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`docs/install.md has no ${start.trim()}`);
  const rows = checks.map((check) => `| ${check.what} | ${outcome(check, results[check.id])} |`);
  return [before, start, '| what | result |\n|---|---|\n', ...rows.map((row) => `${row}\n`), end, after].join('');
}

/**
 * @param {Check} check
 * @param {Result | undefined} result
 */
function outcome({ notRun }, result) {
  if (notRun !== undefined) return `not run: ${notRun}`;
  if (result === undefined) return 'not run yet';
  const { where, on, commit, seconds } = result;
  if (result.result === 'lacking') return `not run on ${on}, because ${where}`;
  return `${result.result} on ${on} (${commit}, ${seconds} s): ${where}`;
}

/**
 * @param {Check} check
 * @returns {Result}
 */
function perform({ run: [command = '', ...args] = [] }) {
  const folder = mkdtempSync(join(tmpdir(), 'pm-release-'));
  const report = join(folder, 'report');
  writeFileSync(report, '');
  const began = performance.now();
  try {
    const env = { ...process.env, RELEASE: '1', RELEASE_CHECK_REPORT: report };
    const { status } = spawnSync(command, args, { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] });
    const lines = readFileSync(report, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
    const lacking = lines.find((line) => line.startsWith('lacking: '))?.slice('lacking: '.length);
    const lacks = status === lackingCode || (status === 0 && lacking !== undefined);
    return {
      result: lacks ? 'lacking' : status === 0 ? 'passed' : 'failed',
      where: lacks ? (lacking ?? 'this machine lacks something') : [machine(), ...lines].join('; '),
      on: new Date().toISOString().slice(0, 10),
      commit: commitHere(),
      seconds: Math.round((performance.now() - began) / 1000),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What every check has in common. */
function machine() {
  const name = /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? process.platform;
  return `${name.replace('GNU/Linux ', '').replace(/ \(.*/, '')}, ${process.arch}`;
}

/** The commit, with `-dirty` if anything but what this script writes differs from it. */
function commitHere() {
  const written = [resultsFile, page].map((file) => `:!${relative(root, file)}`);
  const differs = printed('git', ['status', '--porcelain', '--', '.', ...written]) !== '';
  return `${printed('git', ['rev-parse', '--short=12', 'HEAD'])}${differs ? '-dirty' : ''}`;
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 */
const printed = (command, args) => spawnSync(command, args, { cwd: root }).stdout.toString().trim();

function main() {
  const ids = process.argv.slice(2);
  const all = readChecks();
  const unknown = ids.filter((id) => !all.some((check) => check.id === id));
  if (unknown.length > 0)
    throw new Error(`no check is called ${unknown.join(', ')}; there are ${all.map(({ id }) => id).join(', ')}`);
  let failed = false;
  for (const check of all) {
    if (check.run === undefined || (ids.length > 0 && !ids.includes(check.id))) continue;
    process.stdout.write(`\n== ${check.id}: ${check.what}\n`);
    const result = perform(check);
    failed ||= result.result === 'failed';
    process.stdout.write(`== ${check.id}: ${outcome(check, result)}\n`);
    // After each one: a check may take minutes, and the next one may be interrupted.
    writeFileSync(resultsFile, `${JSON.stringify({ ...readResults(), [check.id]: result }, undefined, 2)}\n`);
    writeFileSync(page, withTable(readFileSync(page, 'utf8')));
  }
  process.exit(failed ? 1 : 0);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
