import fc from 'fast-check';
import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { noRevision } from '../model/revision.ts';
import type { RouteTarget } from '../model/route-target.ts';
import { allTouched } from '../model/touched.ts';
import type { Rendered } from '../render/render.ts';
import { afterStep, planChanges } from './plan.ts';
import { parseServerLine } from './server-line.ts';
import { commandsOf, forgetBackend, judge } from './step.ts';

type ModelServer = { target: string; weight: number; ready: boolean; keywords: string };
type ModelBackend = { policy: string; published: boolean; servers: Map<string, ModelServer> };

/** HAProxy as far as a plan needs it: takes the very commands, and answers them as the real one does. */
class ModelHaproxy {
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
    for (const { name, around, servers } of backends.values()) {
      const all = new Map<string, ModelServer>();
      for (const line of servers.values()) {
        const parsed = parseServerLine(line);
        if (parsed === undefined) throw new Error(`not a server line: ${line}`);
        const { host, port, weight, disabled, keywords } = parsed;
        all.set(parsed.name, { target: `${host}:${port}`, weight, ready: !disabled, keywords });
      }
      const policy = /from (\S+)/.exec(around.before)?.[1] ?? '';
      this.backends.set(name, { policy, published: true, servers: all });
    }
    for (const [route, service] of routes) this.routes.set(route, service);
  }

  run(command: string): string {
    const words = command.split(' ');
    const [verb = '', object = '', at = ''] = words;
    switch (`${verb} ${object}`) {
      case 'add backend':
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

type Lines = Readonly<Record<string, Readonly<Record<string, string>>>>;

const policies = ['policy-a', 'policy-b', 'policy-c'] as const;
const serverText = fc
  .record({
    host: fc.constantFrom('10.0.0.1', '10.0.0.2', '[fd00::1]'),
    weight: fc.constantFrom(0, 1, 100),
    check: fc.boolean(),
    disabled: fc.boolean(),
  })
  .map((s) => `${s.host}:80 weight ${s.weight}${s.check ? ' check' : ''}${s.disabled ? ' disabled' : ''}`);
const services = fc.dictionary(
  fc.constantFrom('web', 'api', 'db'),
  fc.record({
    policy: fc.constantFrom(...policies),
    servers: fc.dictionary(fc.constantFrom('a', 'b', 'c'), serverText),
  }),
);
const busy = fc.subarray(['web/a', 'web/b', 'api/a', 'api/c', 'db/b']);
const history = fc.array(fc.record({ services, busy }), { minLength: 1, maxLength: 8 });

function rendered(
  all: Readonly<Record<string, { policy: string; servers: Readonly<Record<string, string>> }>>,
): Rendered {
  const entries = Object.entries(all);
  return {
    revision: noRevision,
    frame: { before: 'frame\n', indent: '', after: '' },
    policies: PersistentMap(policies.map((name) => [name, `defaults ${name} from _base\n`])),
    backends: PersistentMap(
      entries.map(([name, { policy, servers }]) => [
        name as ServiceName,
        {
          name: name as ServiceName,
          around: { before: `backend ${name} from ${policy}\n`, indent: '    ', after: '\n' },
          servers: PersistentMap(
            Object.entries(servers).map(([id, text]) => [id as InstanceId, `server ${id} ${text}`]),
          ),
        },
      ]),
    ),
    routes: PersistentMap(entries.map(([name]) => [`${name}/`, name as RouteTarget])),
  };
}

/** What serves requests: backends that no route leads to are not in it, nor servers on their way out. */
function serving(model: ModelHaproxy, graveyard: ReadonlyMap<string, string>): Lines {
  const out: Record<string, Record<string, string>> = {};
  for (const [route, name] of model.routes) {
    const backend = model.backends.get(name);
    if (backend === undefined) throw new Error(`the route ${route} leads to nothing`);
    if (!backend.published) throw new Error(`${name} is led to and hidden`);
    const servers: Record<string, string> = {};
    for (const [id, s] of backend.servers) {
      const buried = graveyard.has(`${name}/${id}`);
      if (buried && s.ready) throw new Error(`${name}/${id} left and serves`);
      if (!buried) servers[id] = `${s.target} ${s.weight} ${s.ready} ${s.keywords}`;
    }
    out[name] = servers;
  }
  return out;
}

test.each([true, false])(
  'any history of plans, done on a model of HAProxy, serves what was desired (add backend: %s)',
  (addBackend) => {
    fc.assert(
      fc.property(history, (states) => {
        const model = new ModelHaproxy(addBackend);
        let served = rendered({});
        const graveyard = new Map<string, string>();
        for (const state of states) {
          const desired = rendered(state.services);
          model.busy = new Set(state.busy);
          const touched = allTouched(new Set([...served.backends.keys(), ...desired.backends.keys()]));
          const { steps, reload } = planChanges(served, desired, touched, graveyard, { addBackend });
          let refused = false;
          for (const step of steps) {
            const commands = commandsOf(step, 'routes.map');
            const outcome = judge(
              commands,
              commands.map(({ text }) => model.run(text)),
            );
            if (outcome.kind === 'refused') {
              refused = true;
              continue;
            }
            if (step.kind === 'revive-server') graveyard.delete(`${step.backend}/${step.server.name}`);
            if (outcome.kind === 'lingers' && step.kind === 'remove-server') {
              const line = served.backends.get(step.backend as ServiceName)?.servers.get(step.name as InstanceId);
              if (line !== undefined) graveyard.set(`${step.backend}/${step.name}`, line);
            }
            served = afterStep(served, desired, step);
          }
          expect(refused).toBe(false);
          // Nothing is led astray before the reload either.
          serving(model, graveyard);
          if (reload.length > 0) {
            model.load(desired);
            served = desired;
            graveyard.clear();
          }
          const ideal = new ModelHaproxy(addBackend);
          ideal.load(desired);
          expect(serving(model, graveyard)).toEqual(serving(ideal, new Map()));
          for (const name of served.backends.keys()) {
            const empty = model.backends.get(name)?.servers.size === 0;
            if (!addBackend || desired.backends.has(name) || !empty) continue;
            const commands = forgetBackend(name);
            expect(
              judge(
                commands,
                commands.map(({ text }) => model.run(text)),
              ),
            ).toEqual({ kind: 'done' });
            served = { ...served, backends: served.backends.delete(name) };
          }
        }
      }),
      { numRuns: 1000 },
    );
  },
);
