import type { Context } from 'hono';
import { printableJson } from '../model/printable.ts';

/** Answers with JSON that nothing steers a terminal in: people look at it with curl. */
export const answerJson = (c: Context, value: unknown): Response =>
  c.body(printableJson(value), 200, { 'Content-Type': 'application/json' });
