import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readDeclaration } from './declaration.ts';
import type { Machine } from './option.ts';
import type { InstanceTraits } from './register.ts';
import { parseSettingsFile } from './yaml-file.ts';

const machine: Machine = { hostname: 'node7', home: undefined, stateHome: undefined, root: false };
const traits: InstanceTraits = {
  net: undefined,
  weight: 7,
  version: undefined,
  zone: 'eu',
  role: 'active',
  meta: { a: 'ours', b: 'ours' },
  check: undefined,
  rhythm: { intervalMs: 2000, timeoutMs: 2000, rise: 1, fall: 3 },
  unhealthy: 'withdraw',
};

const read = (text: string) => readDeclaration(parseSettingsFile('web.yaml', text), traits, machine);

function problems(text: string): string[] {
  const reading = read(text);
  return reading.ok ? [] : reading.problems.map(String);
}

describe('a declaration', () => {
  test('takes what it leaves out from the flags of the process', () => {
    const reading = read('service: web\naddress: :80\nmeta: { b: its }\ncheck-fall: 5\n');
    expect(reading).toMatchObject({
      ok: true,
      value: {
        service: 'web',
        id: undefined,
        address: { kind: 'found', port: 80 },
        weight: 7,
        zone: 'eu',
        meta: { a: 'ours', b: 'its' },
        rhythm: { rise: 1, fall: 5 },
        unhealthy: 'withdraw',
      },
    });
  });

  test('may be JSON, with tabs', () => {
    const reading = read('{\n\t"service": "web",\n\t"address": "10.0.0.1:80",\n\t"weight": 5\n}\n');
    expect(reading).toMatchObject({ ok: true, value: { weight: 5 } });
  });

  test.each([
    ['', ['web.yaml:1:1: service is missing', 'web.yaml:1:1: address is missing']],
    [
      'service: web\naddress: 10.0.0.1:80\nwieght: 5\n',
      ['web.yaml:3:1: wieght: unknown field of a declaration (did you mean weight?)'],
    ],
    [
      'service: web\naddress: 10.0.0.1\nweight: 500\n',
      [
        'web.yaml:2:10: address: "10.0.0.1" is not host:port',
        'web.yaml:3:9: weight: "500" is not a whole number from 0 to 256',
      ],
    ],
    ['service: web\naddress: [1]\n', ['web.yaml:2:10: address: it must be one value: ADDRESS']],
  ])('%j tells where it is wrong', (text, lines) => {
    expect(problems(text)).toEqual(lines);
  });
});

describe('the examples', () => {
  const folder = join(import.meta.dirname, '../../docs/examples/instances');
  test.each(readdirSync(folder))('%s is one', (name) => {
    const path = join(folder, name);
    const reading = readDeclaration(parseSettingsFile(path, readFileSync(path, 'utf8')), traits, machine);
    expect(reading.ok ? [] : reading.problems.map(String)).toEqual([]);
  });
});
