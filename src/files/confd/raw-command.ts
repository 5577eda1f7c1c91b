import { rawBytes } from '../../model/raw-text.ts';
import type { CommandLine } from '../../settings/command-line.ts';
import type { Environment } from './raw-environment.ts';

/** An argument has 128 KiB at most, and four of its characters are one byte here. */
const mostBytes = 30_000;

/**
 * The command with the variables whose bytes are not UTF-8, which Node cannot give to a program: a shell sets them first. `raw` is the
 * environment with these bytes.
 */
export function withRawVariables(command: CommandLine, raw: Environment): CommandLine {
  const settings = Object.entries(raw).flatMap(([name, value = '']) => {
    if (!/[\udc80-\udcff]/u.test(value) || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return [];
    const bytes = rawBytes(value);
    if (bytes.length > mostBytes) return [];
    const octal = [...bytes].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
    // $(…) takes off line ends, so a dot keeps them.
    return [`${name}=$(printf '${octal}.'); ${name}=\${${name}%.}; export ${name}; `];
  });
  return settings.length === 0 ? command : ['/bin/sh', '-c', `${settings.join('')}exec "$@"`, 'sh', ...command];
}
