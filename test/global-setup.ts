import { build } from '../scripts/build.mjs';

/** Scenario tests start bin/pointsman: it must be what the sources say, also when only one file is run. */
export async function setup(): Promise<void> {
  await build();
}
