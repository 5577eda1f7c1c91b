import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createBalanceMetrics } from '../src/balance/metrics.ts';
import { exitCodeOf } from '../src/cli/exit-code.ts';
import { type FaultCode, faultKinds } from '../src/model/fault-code.ts';
import { balancerOptions } from '../src/settings/balance.ts';
import { type AnyCommand, operandsOf } from '../src/settings/command.ts';
import { commands } from '../src/settings/commands.ts';
import { logOptions } from '../src/settings/log.ts';
import { fieldName, hasField, hasVariable, type Option, variableName } from '../src/settings/option.ts';
import { registryOptions } from '../src/settings/registry.ts';

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

/** The settings that several commands have. The page has each of these tables once. */
const shared = [
  {
    title: 'pointsman balance',
    link: 'all settings of [pointsman balance](#pointsman-balance)',
    options: balancerOptions,
  },
  { title: 'Registry settings', link: 'the [registry settings](#registry-settings)', options: registryOptions },
  { title: 'Log settings', link: 'the [log settings](#log-settings)', options: logOptions },
] as const;

type Shared = (typeof shared)[number];

/** Whether the row of a setting would say the same in the shared table. Some commands log less, which the page says. */
const isIn = ({ options }: Shared, [key, option]: readonly [string, Option]): boolean =>
  Object.entries(options).some(([other, { description }]) => other === key && description === option.description);

/** The shared tables that a command needs: those of which it has most settings. */
function sharedOf({ name, options }: AnyCommand): readonly Shared[] {
  const has = (one: Shared) => {
    const count = Object.entries(options).filter((entry) => isIn(one, entry)).length;
    return one.title !== `pointsman ${name}` && count > Object.keys(one.options).length / 2;
  };
  const [whole] = shared;
  return has(whole) ? [whole] : shared.filter(has);
}

const settingTable = (rows: readonly (readonly [string, Option])[]): string =>
  rows.length === 0
    ? ''
    : `\n| flag | variable, field | meaning | default |\n|---|---|---|---|\n${rows.map(settingRow).join('\n')}\n`;

const capital = (text: string): string => `${text[0]?.toUpperCase()}${text.slice(1)}`;

function commandSection(command: AnyCommand): string {
  const others = sharedOf(command);
  const own = Object.entries(command.options).filter((entry) => !others.some((one) => isIn(one, entry)));
  const usage = operandsOf(command).map(({ syntax, description }) => `\n\`${syntax}\`: ${description}.\n`);
  const also = others.length === 0 ? '' : `\nAlso ${others.map(({ link }) => link).join(' and ')}.\n`;
  return `## pointsman ${command.name}\n\n${capital(command.summary)}.\n${usage.join('')}${settingTable(own)}${also}`;
}

async function reference(): Promise<string> {
  const list = commands.map(
    ({ name, summary }) => `| [\`pointsman ${name}\`](#pointsman-${name}) | ${cell(summary)} |`,
  );
  const quiet = commands
    .filter(({ options }) => {
      const level = 'logLevel' in options ? options.logLevel : undefined;
      return level?.kind === 'defaulted' && level.fallback.text === 'warn';
    })
    .map(({ name }) => `\`${name}\``);
  const registry = new Registry();
  createBalanceMetrics(registry);
  const metrics = (await registry.getMetricsAsJSON()).map(
    ({ name, help, type }) => `| \`${name}\` | ${type} | ${cell(help)} |`,
  );
  return `# Reference

This page lists every command with its settings, and every metric. Use it to look up a name or a default. It is generated from the code
(\`UPDATE=1 npx vitest run test/reference.test.ts\`), so it belongs to exactly this version.

Explanations are on other pages: [settings.md](settings.md) (settings of a balancer, exit codes), [policies.md](policies.md) (fields of a policy),
[register.md](register.md), [metrics.md](metrics.md), [errors.md](errors.md).

| command | |
|---|---|
${list.join('\n')}

Every command also takes \`--help\`; a command with settings takes \`--config FILE\`. A setting without a variable or field belongs to one call, so only its
flag exists. A flag wins over a variable, a variable over the file, and the file over the default.

${commands.map(commandSection).join('\n')}
## Registry settings
${settingTable(Object.entries(registryOptions))}
## Log settings
${settingTable(Object.entries(logOptions))}
These commands have the default \`warn\` for \`--log-level\`: ${quiet.join(', ')}.

## Metrics

| metric | type | meaning |
|---|---|---|
${metrics.join('\n')}
`;
}

function errors(): string {
  const rows = Object.entries(faultKinds).map(([code, { means, todo }]) => {
    return `| \`${code}\` | ${cell(means)} | ${cell(todo)} | ${exitCodeOf(code as FaultCode)} |`;
  });
  return `# Errors

This page lists every kind of error of pointsman, for everybody who reads its messages or its log. It is generated from the code
(\`UPDATE=1 npx vitest run test/reference.test.ts\`).

An error is one line with the place (a flag, a key, \`file:line:column\`), the cause, and in brackets the remedy:

\`\`\`
pointsman: --https: HTTPS needs certificates (give --certificates FOLDER, or --acme URL)
\`\`\`

The field \`code\` in the log names the kind of an error of a round or a reload. A command that fails ends with the exit code in the last
column. A process that serves keeps running, and logs the error.

| code | meaning | what to do | exit code |
|---|---|---|---|
${rows.join('\n')}

A stack trace with "a bug in pointsman" is none of these: please report it with the trace.
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
