import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createBalanceMetrics } from '../src/balance/metrics.ts';
import { exitCodeOf } from '../src/cli/exit-code.ts';
import { type FaultCode, faultKinds } from '../src/model/fault-code.ts';
import { operandsOf } from '../src/settings/command.ts';
import { commands } from '../src/settings/commands.ts';
import { fieldName, hasField, hasVariable, type Option, variableName } from '../src/settings/option.ts';

const docs = join(import.meta.dirname, '../docs');
const cell = (text: string) => text.replaceAll('|', '\\|');

function settingRow([key, option]: readonly [string, Option]): string {
  const flag =
    option.kind === 'secret' || option.kind === 'items'
      ? ''
      : `\`--${fieldName(key)}${'placeholder' in option ? ` ${option.placeholder}` : ''}\``;
  const others = [
    ...(hasVariable(option) ? [`\`${variableName(key)}\``] : []),
    ...(hasField(option) && option.kind !== 'secret' ? [`\`${fieldName(key)}:\``] : []),
  ];
  const fallback = option.kind === 'defaulted' ? option.fallback.text : '';
  return `| ${[flag, others.join(' '), option.description, fallback].map(cell).join(' | ')} |`;
}

async function reference(): Promise<string> {
  const sections = commands.map((command) => {
    const { name, summary, options } = command;
    const rows = Object.entries(options).map(settingRow);
    const table =
      rows.length === 0 ? '' : `\n| flag | variable, field | | default |\n|---|---|---|---|\n${rows.join('\n')}\n`;
    const usage = operandsOf(command)
      .map(({ syntax, description }) => `\n\`${syntax}\`: ${description}.\n`)
      .join('');
    return `## pointsman ${name}\n\n${summary[0]?.toUpperCase()}${summary.slice(1)}.\n${usage}${table}`;
  });
  const registry = new Registry();
  createBalanceMetrics(registry);
  const metrics = (await registry.getMetricsAsJSON()).map(
    ({ name, help, type }) => `| \`${name}\` | ${type} | ${cell(help)} |`,
  );
  return `# Reference

Made from the code by \`UPDATE=1 npx vitest run test/reference.test.ts\`; a test holds it to that. Policies: [policies.md](policies.md).

${sections.join('\n')}
## Metrics

| metric | type | |
|---|---|---|
${metrics.join('\n')}
`;
}

function errors(): string {
  const rows = Object.entries(faultKinds).map(([code, { means, todo }]) => {
    return `| \`${code}\` | ${cell(means)} | ${cell(todo)} | ${exitCodeOf(code as FaultCode)} |`;
  });
  return `# Errors

Made from the code by \`UPDATE=1 npx vitest run test/reference.test.ts\`; a test holds it to that.

An error is one line: where (a flag, a key, \`file:line:column\`), what happened, and in brackets what to do. Lines of the log
about rounds and reloads that failed name its kind as \`code\`. A command that an error ends has the exit code in the last
column; a process that serves goes on, and says in its log what it could not do.

| code | what it means | what to do | exit code |
|---|---|---|---|
${rows.join('\n')}

A stack trace with "a mistake in pointsman itself" is none of these: please report it.
`;
}

test.each([
  ['reference.md', reference],
  ['errors.md', errors],
])('docs/%s says what the code says', async (name, write) => {
  const file = join(docs, name);
  const now = await write();
  if (process.env['UPDATE'] !== undefined) await writeFile(file, now);
  expect(await readFile(file, 'utf8')).toBe(now);
});

test('every kind of error is made somewhere', async () => {
  const folder = join(import.meta.dirname, '../src');
  const files = (await readdir(folder, { recursive: true })).filter((path) => /(?<!fault-code|\.test)\.ts$/.test(path));
  const code = (await Promise.all(files.map((path) => readFile(join(folder, path), 'utf8')))).join('');
  expect(Object.keys(faultKinds).filter((kind) => !code.includes(`'${kind}'`))).toEqual([]);
});
