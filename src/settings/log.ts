import { defaulted, optional, type ValuesOf } from './option.ts';
import { oneOf } from './words.ts';

/** How pointsman logs. */
export type LogSettings = {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** `auto`: pretty on a terminal, JSON lines elsewhere. */
  readonly format: 'json' | 'pretty' | 'auto';
};

const logLevel = oneOf(['trace', 'debug', 'info', 'warn', 'error', 'silent']);

/** The options of every command that runs for long. */
export const logOptions = {
  logLevel: defaulted('LEVEL', logLevel, 'info', 'trace, debug, info, warn, error or silent'),
  logFormat: defaulted(
    'FORMAT',
    oneOf(['json', 'pretty', 'auto']),
    'auto',
    'json, pretty, or auto: pretty on a terminal',
  ),
};

/** The same for a command with another default level, which `text` names. */
export const logOptionsOr = (text: string) => ({
  ...logOptions,
  logLevel: optional('LEVEL', logLevel, `${logOptions.logLevel.description}; ${text}, if not given`),
});

/** The same for commands that answer and end: what they print is their own, so that only trouble is logged. */
export const quietLogOptions = {
  ...logOptions,
  logLevel: { ...logOptions.logLevel, fallback: { text: 'warn', of: () => 'warn' } },
};

export function logSettings(values: ValuesOf<typeof logOptions>): LogSettings {
  return { level: values.logLevel, format: values.logFormat };
}
