import { formatDeclarations } from '../declarations/format-declarations.ts';

/** A policy as a declaration that `pointsman apply` takes, in YAML. */
export const policyFileText = (key: string, value: string | undefined): string =>
  formatDeclarations([{ key, value: value ?? '{}' }]);
