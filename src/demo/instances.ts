import type { DemoChild, Start } from './child.ts';
import type { Colors } from './colors.ts';
import { freePort } from './ports.ts';

export type InstancesParts = {
  readonly start: Start;
  /** How to start pointsman itself: node and its entry. */
  readonly pointsman: readonly [string, ...string[]];
  readonly location: string;
  readonly say: (text: string) => void;
  readonly colors: Colors;
};

/** The instances of `web` that run, by id. */
export class Instances {
  readonly #parts: InstancesParts;
  readonly #running = new Map<string, DemoChild>();
  /** An instance that comes back has the address that it had, as one with a port of its own on a machine. */
  readonly #ports = new Map<string, number>();

  constructor(parts: InstancesParts) {
    this.#parts = parts;
  }

  get ids(): readonly string[] {
    return [...this.#running.keys()];
  }

  /** Starts an application under `pointsman register`. It answers with its id and its version. */
  async join(id: string, version: string): Promise<void> {
    const { start, pointsman, location, say, colors } = this.#parts;
    const port = this.#ports.get(id) ?? (await freePort());
    this.#ports.set(id, port);
    say(`${colors.green('+')} ${colors.bold(id)} joins with version ${version}, on port ${port}`);
    const child = start(
      id,
      [...pointsman, 'register', '--registry', location, '--service', 'web', '--id', id, '--version-label', version,
        '--address', `127.0.0.1:${port}`, '--ttl', '5s', '--log-format', 'json',
        '--', ...pointsman, 'demo', '--app', `${id}.${version}`, '--port', String(port)], // biome-ignore format: a command line
    );
    this.#running.set(id, child);
  }

  /** Has it leave: `pointsman register` gets SIGTERM. Resolves when the application has ended. */
  async leave(id: string): Promise<void> {
    const child = this.#take(id);
    if (child === undefined) return;
    const { say, colors } = this.#parts;
    say(`${colors.red('-')} ${colors.bold(id)} leaves: it takes no new requests, finishes its own, and ends`);
    await child.stop();
  }

  /** Kills it and its application at once. */
  async crash(id: string): Promise<void> {
    const child = this.#take(id);
    if (child === undefined) return;
    const { say, colors } = this.#parts;
    say(`${colors.red('x')} ${colors.bold(id)} is killed with SIGKILL, and its registration stays behind`);
    child.kill();
    await child.ended;
  }

  #take(id: string): DemoChild | undefined {
    const child = this.#running.get(id);
    this.#running.delete(id);
    return child;
  }
}
