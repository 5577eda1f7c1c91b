import { applyCommand } from './apply.ts';
import { balanceCommand } from './balance.ts';
import { certificatesCommand } from './certificates.ts';
import { checkCommand } from './check.ts';
import type { AnyCommand } from './command.ts';
import { demoCommand } from './demo.ts';
import { diffCommand } from './diff.ts';
import { exportCommand, schemaCommand } from './export.ts';
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
import { passwordCommand } from './password.ts';
import { policyCommand } from './policy.ts';
import { completionCommand, manCommand } from './reference.ts';
import { registerCommand } from './register.ts';
import { releaseCommand } from './release.ts';
import { renderCommand } from './render.ts';
import { rolesCommand } from './roles.ts';
import { rolloutCommand, stopCommand } from './rollout.ts';
import { eventsCommand, explainCommand, statusCommand } from './see.ts';
import { pinCommand, shiftCommand } from './shift.ts';
import { waitCommand } from './wait.ts';

/** The commands by what they are for, in the order of help, reference and manual. */
const run = [balanceCommand, registerCommand, filesCommand] as const;
const preview = [checkCommand, renderCommand, diffCommand] as const;
const inspect = [statusCommand, explainCommand, eventsCommand, certificatesCommand] as const;
const deploy = [applyCommand, exportCommand, waitCommand, rolloutCommand, shiftCommand, pinCommand] as const;
const operate = [
  policyCommand,
  drainCommand,
  undrainCommand,
  stopCommand,
  maintenanceCommand,
  weightCommand,
  pauseCommand,
  resumeCommand,
  clearCommand,
  overridesCommand,
  releaseCommand,
  rolesCommand,
  passwordCommand,
] as const;
const learn = [demoCommand, schemaCommand, completionCommand, manCommand] as const;

/** The headings of `pointsman --help`. */
export const commandGroups = [
  ['Run:', run],
  ['Check before a change:', preview],
  ['See what is served:', inspect],
  ['Deploy:', deploy],
  ['Operate:', operate],
  ['Learn:', learn],
] as const satisfies readonly (readonly [heading: string, readonly AnyCommand[]])[];

export const commands = [
  ...run,
  ...preview,
  ...inspect,
  ...deploy,
  ...operate,
  ...learn,
] as const satisfies readonly AnyCommand[];

export type CommandName = (typeof commands)[number]['name'];
