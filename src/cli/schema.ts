import schema from '../../docs/pointsman.schema.json' with { type: 'json' };
import { done } from './exit-code.ts';

export async function run(): Promise<number> {
  process.stdout.write(`${JSON.stringify(schema, undefined, 2)}\n`);
  return done;
}
