import { balanceCommand } from './balance.ts';
import { checkCommand } from './check.ts';
import type { AnyCommand } from './command.ts';
import { demoCommand } from './demo.ts';
import { filesCommand } from './files.ts';
import {
  clearCommand,
  drainCommand,
  maintenanceCommand,
  overridesCommand,
  pauseCommand,
  resumeCommand,
  undrainCommand,
  weightCommand,
} from './override.ts';
import { completionCommand, manCommand } from './reference.ts';
import { registerCommand } from './register.ts';
import { releaseCommand } from './release.ts';
import { renderCommand } from './render.ts';
import { rolesCommand } from './roles.ts';
import { eventsCommand, explainCommand, statusCommand } from './see.ts';
import { pinCommand, shiftCommand } from './shift.ts';
import { waitCommand } from './wait.ts';

/** Every command there is, in the order of help, reference and manual. */
export const commands = [
  balanceCommand,
  registerCommand,
  checkCommand,
  renderCommand,
  statusCommand,
  explainCommand,
  eventsCommand,
  waitCommand,
  shiftCommand,
  pinCommand,
  drainCommand,
  undrainCommand,
  maintenanceCommand,
  weightCommand,
  pauseCommand,
  resumeCommand,
  clearCommand,
  overridesCommand,
  releaseCommand,
  rolesCommand,
  filesCommand,
  demoCommand,
  completionCommand,
  manCommand,
] as const satisfies readonly AnyCommand[];

export type CommandName = (typeof commands)[number]['name'];
