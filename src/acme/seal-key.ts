import { randomBytes } from 'node:crypto';
import { type SealingKeys, seal } from '../model/acme/sealing.ts';

/** Seals a private key for the entry that will hold it. */
export const sealKey = (pem: string, place: string, keys: SealingKeys): string =>
  seal(pem, place, keys, randomBytes(12));
