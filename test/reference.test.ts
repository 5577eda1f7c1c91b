import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createBalanceMetrics } from '../src/balance/metrics.ts';
import { operandsOf } from '../src/settings/command.ts';
import { commands } from '../src/settings/commands.ts';
import { fieldName, hasField, hasVariable, type Option, variableName } from '../src/settings/option.ts';

const file = join(import.meta.dirname, '../docs/reference.md');
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

test('docs/reference.md says what the code says', async () => {
  const now = await reference();
  if (process.env['UPDATE'] !== undefined) await writeFile(file, now);
  expect(await readFile(file, 'utf8')).toBe(now);
});
