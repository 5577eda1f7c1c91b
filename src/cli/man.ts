import { commands } from '../settings/commands.ts';
import { done } from './exit-code.ts';
import { manPage } from './reference/man-page.ts';
import { version } from './version.ts';

export async function run(): Promise<number> {
  process.stdout.write(manPage(commands, version));
  return done;
}
