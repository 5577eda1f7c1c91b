import type { RouteTarget } from '../model/route-target.ts';
import { formatServerAddress, type ServerLine } from './server-line.ts';

/** A server that comes into service. `checkFirst`: it takes no requests before it passes a check. */
type Entrance = { readonly backend: string; readonly server: ServerLine; readonly checkFirst?: boolean };

/** One change that HAProxy's runtime API makes. */
export type Step =
  /** Made hidden: it takes requests once it is published, when its servers are there. */
  | {
      readonly kind: 'add-backend';
      readonly backend: string;
      readonly policy: string;
      readonly mode: 'http' | 'tcp';
    }
  | { readonly kind: 'publish-backend'; readonly backend: string }
  /** HAProxy 2.6 gives no cookie to a server that was added at run time until this command. */
  | { readonly kind: 'renew-cookies'; readonly backend: string }
  | (Entrance & { readonly kind: 'add-server' })
  /** The name is still there, closing its last connections: give it its new address and let it serve again. */
  | (Entrance & { readonly kind: 'revive-server' })
  | (Entrance & { readonly kind: 'set-address' })
  | { readonly kind: 'set-weight'; readonly backend: string; readonly server: ServerLine }
  | (Entrance & { readonly kind: 'set-state' })
  | { readonly kind: 'remove-server'; readonly backend: string; readonly name: string }
  /** Instead of a removal, where HAProxy cannot delete servers safely: it stays, and takes no requests. */
  | { readonly kind: 'retire-server'; readonly backend: string; readonly name: string }
  | { readonly kind: 'add-route'; readonly route: string; readonly target: RouteTarget }
  | { readonly kind: 'set-route'; readonly route: string; readonly target: RouteTarget }
  | { readonly kind: 'remove-route'; readonly route: string };

/** A change of the route map. */
export type RouteStep = Extract<Step, { kind: 'add-route' | 'set-route' | 'remove-route' }>;

const entrances = ['add-server', 'revive-server', 'set-state', 'set-address'] as const;

/** Whether a step has a server take requests that it did not take before, or take them at another address. */
export const bringsIn = (step: Step): step is Entrance & { readonly kind: (typeof entrances)[number] } =>
  entrances.some((kind) => kind === step.kind);

/** The outcome of a step. */
export type StepOutcome =
  | { readonly kind: 'done' }
  /** The server takes no requests any more, and is not deleted: its connections are open, or HAProxy cannot do it safely. */
  | { readonly kind: 'lingers' }
  | { readonly kind: 'refused'; readonly command: string; readonly answer: string };

type Command = { readonly text: string; readonly judge: (answer: string) => StepOutcome['kind'] };

const silent = (answer: string) => (answer === '' ? 'done' : 'refused');
const says =
  (...accepted: readonly RegExp[]) =>
  (answer: string) =>
    accepted.some((pattern) => pattern.test(answer)) ? 'done' : 'refused';

// As HAProxy 2.6 to 3.4 answer. Anything else counts as refused, and a reload then makes the state certain.
const addressAnswer = says(/^(nothing changed$|no need to change the addr|port changed from|IP changed from)/);
const registered = says(/^New server registered\.$/);
const forgotten = says(/^$/, /^Key not found\.$/, /^entry not found\.$/i);
const deleted = (answer: string) => {
  if (/^(Server deleted\.|No such server\.)$/.test(answer)) return 'done';
  return answer.startsWith('Server still has connections') ? 'lingers' : 'refused';
};

/** The commands of a step, in order, each with the function that reads the outcome from its answer. */
export function commandsOf(step: Step, routesMap: string): readonly Command[] {
  switch (step.kind) {
    case 'add-backend':
      // 3.5 takes no mode that the policy inherits.
      return [
        {
          text: `add backend ${step.backend} from ${step.policy} mode ${step.mode}`,
          judge: says(/^New backend registered\.$/),
        },
      ];
    case 'publish-backend':
      return [publish(step.backend)];
    case 'renew-cookies':
      return [{ text: `enable dynamic-cookie backend ${step.backend}`, judge: silent }];
    case 'add-server': {
      const { name, weight, keywords, check, disabled } = step.server;
      const at = `${step.backend}/${name}`;
      const add = `add server ${at} ${formatServerAddress(step.server)} weight ${weight} ${keywords}`.trimEnd();
      return [
        { text: add, judge: registered },
        // Without it a dynamic server's `check` never runs.
        ...(check ? [{ text: `enable health ${at}`, judge: silent }] : []),
        // A dynamic server starts in maintenance.
        ...(disabled ? [] : enter(step)),
      ];
    }
    case 'revive-server':
      return [setAddress(step), setWeight(step), ...enter(step)];
    case 'set-address':
      if (step.checkFirst === true) return untilChecked(step, setAddress(step));
      return [setAddress(step), ...(isAsked(step.server) ? [raise(step.backend, step.server.name)] : [])];
    case 'set-weight':
      return [setWeight(step)];
    case 'set-state':
      return enter(step);
    case 'remove-server': {
      const at = `${step.backend}/${step.name}`;
      return [
        { text: `set server ${at} state maint`, judge: says(/^$/, /^No such server\.$/) },
        { text: `del server ${at}`, judge: deleted },
      ];
    }
    case 'retire-server': {
      const text = `set server ${step.backend}/${step.name} state maint`;
      return [{ text, judge: (answer) => (answer === '' ? 'lingers' : says(/^No such server\.$/)(answer)) }];
    }
    case 'add-route':
      return [{ text: `add map ${routesMap} ${step.route} ${step.target}`, judge: silent }];
    case 'set-route':
      return [{ text: `set map ${routesMap} ${step.route} ${step.target}`, judge: silent }];
    case 'remove-route':
      return [{ text: `del map ${routesMap} ${step.route}`, judge: forgotten }];
  }
}

/** `del server` once more, for one that lingered. */
export function deleteCommand(backend: string, name: string): Command {
  return { text: `del server ${backend}/${name}`, judge: deleted };
}

/** Has HAProxy forget a backend that has no servers any more; from 3.4. */
export function deleteBackendCommands(backend: string): readonly Command[] {
  return [
    { text: `unpublish backend ${backend}`, judge: says(/^Backend unpublished\.$/, /^No such backend\.$/) },
    // 3.4.4 can delete it and say nothing.
    { text: `del backend ${backend}`, judge: says(/^(Backend deleted\.|No such backend\.|)$/) },
  ];
}

export function publish(backend: string): Command {
  return { text: `publish backend ${backend}`, judge: says(/^Backend published\.$/) };
}

type ServerStep = { readonly backend: string; readonly server: ServerLine };

function setAddress({ backend, server }: ServerStep): Command {
  const text = `set server ${backend}/${server.name} addr ${server.host} port ${server.port}`;
  return { text, judge: addressAnswer };
}

function setWeight({ backend, server }: ServerStep): Command {
  return { text: `set server ${backend}/${server.name} weight ${server.weight}`, judge: silent };
}

/**
 * Gives a server another weight for some microseconds, so that HAProxy computes its place in the round robin again. The other weight is
 * not 0, because a server without weight gets no requests: it may be the only one.
 */
export function newPlaceCommands({ backend, server }: ServerStep): readonly Command[] {
  const other = server.weight > 1 ? server.weight - 1 : server.weight + 1;
  return [setWeight({ backend, server: { ...server, weight: other } }), setWeight({ backend, server })];
}

function enter(step: Entrance): readonly Command[] {
  const { backend, server, checkFirst = false } = step;
  const text = `set server ${backend}/${server.name} state ${server.disabled ? 'maint' : 'ready'}`;
  const state = { text, judge: silent };
  return checkFirst && !server.disabled ? untilChecked(step, state) : [state];
}

/**
 * HAProxy takes a server that is made ready, or has another address, for up until a check fails. For a server that is to pass a check
 * first this moment must not count, so it has no weight then.
 */
function untilChecked(step: ServerStep, command: Command): readonly Command[] {
  const at = `set server ${step.backend}/${step.server.name}`;
  return [
    { text: `${at} weight 0`, judge: silent },
    command,
    { text: `${at} health down`, judge: silent },
    setWeight(step),
  ];
}

/** Whether HAProxy checks it. From 3.0 on it takes what it knows of a former address for true of the new one. */
const isAsked = ({ check, disabled }: ServerLine): boolean => check && !disabled;

/** A server that passed its first check, or that serves without one. */
export function raise(backend: string, name: string): Command {
  return { text: `set server ${backend}/${name} health up`, judge: says(/^$/, /^No such server\.$/) };
}

/** The outcome of a step from the answers to its commands: the first that was not simply done decides. */
export function outcomeOf(commands: readonly Command[], answers: readonly string[]): StepOutcome {
  for (const [index, command] of commands.entries()) {
    const answer = (answers[index] ?? '').trim();
    const kind = command.judge(answer);
    if (kind === 'refused') return { kind, command: command.text, answer };
    if (kind === 'lingers') return { kind };
  }
  return { kind: 'done' };
}

/** One line for a person: `add server web/web-1 10.0.0.1:80 weight 100 check`. */
export function describeStep(step: Step): string {
  return commandsOf(step, 'routes.map')[0]?.text ?? step.kind;
}
