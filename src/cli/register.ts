import { randomUUID } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import { runRegister } from '../register/run-register.ts';
import { registerCommand } from '../settings/register.ts';
import { type Invocation, settle } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openRegistry } from './open-registry.ts';
import { withoutSecrets } from './secrets.ts';
import { onSignals } from './signals.ts';

/** `pointsman register`. */
export async function run(invocation: Invocation): Promise<number> {
  const settings = await settle(registerCommand, invocation);
  const logger = await createLogger(settings.log);
  const registry = await openRegistry(settings.registry, logger);
  const [file, ...args] = invocation.operands;
  const env = withoutSecrets(invocation.env);
  try {
    return await runRegister(settings.register, {
      registry,
      logger,
      owner: randomUUID(),
      hostname: invocation.machine.hostname,
      interfaces: networkInterfaces(),
      env,
      command: file === undefined ? undefined : { file, args, env },
      pid: process.pid,
      random: Math.random,
      onSignals,
      now: () => performance.now(),
    });
  } finally {
    await registry.close();
  }
}
