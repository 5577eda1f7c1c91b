import { readFileSync } from 'node:fs';
import { passedEnvironment, variablesOf } from '../../model/passed-environment.ts';
import { rawBytes, rawText } from '../../model/raw-text.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment that bin/pointsman was given: `NAME=value`, each with a zero byte at its end. Empty where it is not known. */
export function givenEnvironment(): Buffer {
  try {
    const own = readFileSync('/proc/self/environ');
    return passedEnvironment(Object.fromEntries(variablesOf(own.toString('latin1')))) ?? own;
  } catch {
    return Buffer.alloc(0);
  }
}

/** The environment with the bytes that are not UTF-8, which Node replaces with U+FFFD. */
export function rawEnvironment(env: Environment, given: () => Buffer): Environment {
  const isReplaced = ([name, value = '']: readonly [string, string | undefined]) =>
    `${name}${value}`.includes('\ufffd');
  const replaced = new Map(Object.entries(env).filter(isReplaced));
  if (replaced.size === 0) return env;
  const whole: Record<string, string | undefined> = { ...env };
  for (const entry of rawText(given()).split('\0')) {
    const [lossy, raw] = [rawBytes(entry).toString(), entry].map((text) => {
      const end = text.indexOf('=');
      return { name: text.slice(0, end), value: text.slice(end + 1) };
    });
    if (lossy === undefined || raw === undefined || replaced.get(lossy.name) !== lossy.value) continue;
    delete whole[lossy.name];
    whole[raw.name] = raw.value;
  }
  return whole;
}
