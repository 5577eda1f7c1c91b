import { parseServerLine } from '../../src/haproxy/server-line.ts';
import type { Rendered } from '../../src/render/rendered.ts';

type ModelServer = { target: string; weight: number; ready: boolean; keywords: string };
type ModelBackend = { policy: string; published: boolean; servers: Map<string, ModelServer> };

/** HAProxy as far as a plan needs it: takes the very commands, and answers them as the real one does. */
export class ModelHaproxy {
  readonly backends = new Map<string, ModelBackend>();
  readonly routes = new Map<string, string>();
  /** `backend/server` that still have open connections, and cannot be deleted. */
  busy = new Set<string>();
  readonly #canAddBackend: boolean;

  constructor(canAddBackend: boolean) {
    this.#canAddBackend = canAddBackend;
  }

  load({ backends, routes }: Rendered): void {
    this.backends.clear();
    this.routes.clear();
    for (const { name, section, servers } of backends.values()) {
      const all = new Map<string, ModelServer>();
      for (const line of servers.values()) {
        const parsed = parseServerLine(line);
        if (parsed === undefined) throw new Error(`not a server line: ${line}`);
        const { host, port, weight, disabled, keywords } = parsed;
        all.set(parsed.name, { target: `${host}:${port}`, weight, ready: !disabled, keywords });
      }
      const policy = /from (\S+)/.exec(section.before)?.[1] ?? '';
      this.backends.set(name, { policy, published: true, servers: all });
    }
    for (const [route, service] of routes) this.routes.set(route, service);
  }

  run(command: string): string {
    const words = command.split(' ');
    const [verb = '', object = '', at = ''] = words;
    switch (`${verb} ${object}`) {
      case 'add backend':
        if (words[5] !== 'mode')
          return `Mode is required as '${words[4]}' default proxy does not explicitly defines it.`;
        if (!this.#canAddBackend) return 'Unknown command.';
        if (this.backends.has(at)) return `Error during backend creation : name is already used by '${at}'.`;
        this.backends.set(at, { policy: words[4] ?? '', published: false, servers: new Map() });
        return 'New backend registered.';
      case 'publish backend':
        return this.#publish(at, true);
      case 'unpublish backend':
        return this.#publish(at, false);
      case 'del backend':
        if ((this.backends.get(at)?.servers.size ?? 0) > 0) return 'Only a backend without server can be deleted.';
        return this.backends.delete(at) ? 'Backend deleted.' : 'No such backend.';
      case 'add map':
      case 'set map':
        this.routes.set(words[3] ?? '', words[4] ?? '');
        return '';
      case 'del map':
        return this.routes.delete(words[3] ?? '') ? '' : 'Key not found.';
      default:
        return this.#server(verb, at, words);
    }
  }

  #publish(name: string, published: boolean): string {
    const backend = this.backends.get(name);
    if (backend === undefined) return 'No such backend.';
    backend.published = published;
    return published ? 'Backend published.' : 'Backend unpublished.';
  }

  #server(verb: string, at: string, words: readonly string[]): string {
    const [backendName = '', name = ''] = at.split('/');
    const servers = this.backends.get(backendName)?.servers;
    if (servers === undefined) return 'No such backend.';
    const server = servers.get(name);
    if (verb === 'add') {
      if (server !== undefined) return 'Already exists a server with the same name in backend.';
      const parsed = parseServerLine(`server ${name} ${words.slice(3).join(' ')}`);
      if (parsed === undefined) return `'${words.join(' ')}' : unknown keyword`;
      const { host, port, weight, keywords } = parsed;
      servers.set(name, { target: `${host}:${port}`, weight, ready: false, keywords });
      return 'New server registered.';
    }
    if (server === undefined) return 'No such server.';
    if (verb === 'enable') return '';
    if (verb === 'del') {
      if (server.ready) return 'Only servers in maintenance mode can be deleted.';
      if (this.busy.has(at)) return 'Server still has connections attached to it, cannot remove it.';
      servers.delete(name);
      return 'Server deleted.';
    }
    switch (words[3]) {
      case 'state':
        server.ready = words[4] === 'ready';
        return '';
      case 'health':
        return '';
      case 'weight':
        server.weight = Number(words[4]);
        return '';
      case 'addr': {
        const target = `${words[4]}:${words[6]}`;
        if (target === server.target) return 'nothing changed';
        server.target = target;
        return 'IP changed from here to there';
      }
      default:
        return 'usage';
    }
  }
}
