import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import type { Logger } from 'pino';
import { Fault } from '../model/fault.ts';
import type { OpenContainers } from '../register/announcing.ts';
import type { RegisterFacts } from '../register/register-status.ts';
import { runRegister } from '../register/run-register.ts';
import type { Registry } from '../registry/registry.ts';
import type { Machine } from '../settings/option.ts';
import {
  type InstanceSettings,
  type InstanceTraits,
  type RegisterSettings,
  registerCommand,
} from '../settings/register.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openRegistry } from './open-registry.ts';
import { withoutSecrets } from './secrets.ts';
import { onSignals } from './signals.ts';

type Settings = ReturnType<(typeof registerCommand)['assemble']>;

export async function run(invocation: Invocation): Promise<number> {
  const settings = await readInvocation(registerCommand, invocation);
  const logger = await createLogger(settings.log);
  const registry = await openRegistry(settings.registry, logger);
  const [file, ...args] = invocation.operands;
  const env = withoutSecrets(invocation.env);
  let facts: (() => RegisterFacts) | undefined;
  let closeAdmin: (() => Promise<void>) | undefined;
  try {
    // Before the command starts: if the address is in use, it does not.
    closeAdmin = await openAdmin(settings, invocation, logger, () => facts?.());
    return await runRegister(settings.register, {
      registry,
      logger,
      owner: randomUUID(),
      hostname: invocation.machine.hostname,
      interfaces: networkInterfaces,
      loadDeclarations: (traits) => loadDeclarations(traits, invocation.machine),
      loadContainers: () => loadContainers(invocation, registry, settings.register),
      env,
      command: file === undefined ? undefined : { file, args, env },
      pid: process.pid,
      random: Math.random,
      onSignals,
      onAnnouncing: (announcing) => {
        facts = () => announcing.facts;
      },
      now: () => performance.now(),
      wall: Date.now,
    });
  } finally {
    await closeAdmin?.();
    await registry.close();
  }
}

/** The server of metrics and health, which takes memory only where it is wanted. */
async function openAdmin(
  { admin: address, adminHosts: allowed, register }: Settings,
  { machine }: Invocation,
  logger: Logger,
  facts: () => RegisterFacts | undefined,
): Promise<(() => Promise<void>) | undefined> {
  if (address === undefined) return undefined;
  const { serveRegisterAdmin } = await import('./register-admin.ts');
  const withContainers = register.containers !== undefined;
  return serveRegisterAdmin({ address, hostname: machine.hostname, allowed }, logger, { facts, withContainers });
}

async function loadContainers(
  { machine, env }: Invocation,
  registry: Registry,
  { containers, ttlMs }: RegisterSettings,
): Promise<OpenContainers> {
  const [{ HttpEngine }, { usualEngine }, { ContainerAgent }, { ownContainerId }, { openLabelledPolicies }] =
    await Promise.all([
      import('../engine/http-engine.ts'),
      import('./engine-of.ts'),
      import('../register/containers/container-agent.ts'),
      import('../register/containers/own-container.ts'),
      import('../container-policies/labelled-policies.ts'),
    ]);
  const engine = new HttpEngine(containers?.engine ?? usualEngine(env, '--containers'));
  const ownId = ownContainerId(await readFile('/proc/self/mountinfo', 'utf8').catch(() => ''));
  return ({ traits, publishedAt }, parts) => {
    const { logger, random } = parts;
    const about = { registry, logger, host: machine.hostname, ttlMs, random, now: () => performance.now() };
    const policies = openLabelledPolicies(about);
    const context = { traits, machine, publishedAt };
    return new ContainerAgent({ ...parts, engine, context, ownId, policies });
  };
}

async function loadDeclarations(traits: InstanceTraits, machine: Machine) {
  const [{ parseSettingsFile }, { readDeclaration }] = await Promise.all([
    import('../settings/yaml-file.ts'),
    import('../settings/declaration.ts'),
  ]);
  return (path: string, text: string): InstanceSettings | readonly Fault[] => {
    try {
      const reading = readDeclaration(parseSettingsFile(path, text), traits, machine);
      return reading.ok ? reading.value : reading.problems;
    } catch (error) {
      if (error instanceof Fault) return [error];
      throw error;
    }
  };
}
