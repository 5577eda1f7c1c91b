import { accepted, type Parsed, rejected } from '../model/parsed.ts';
import { failed, misused } from './exit-code.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What `pointsman` is to be called with instead of `confd`. */
type ConfdCall = {
  readonly args: readonly string[];
  /** Variables that are set for pointsman itself. */
  readonly env: Readonly<Record<string, string>>;
  /** Flags that have no effect. */
  readonly ignored: readonly string[];
};

type Translated =
  | { readonly ok: true; readonly value: ConfdCall }
  /** confd knows more backends, and ends with 1 for one that it does not know. */
  | { readonly ok: false; readonly reason: string; readonly exitCode: typeof failed | typeof misused };

/** The backends of confd's fork, which are its commands. */
const backends = new Set('consul etcd vault redis zookeeper dynamodb ssm acm secretsmanager imds env file'.split(' '));
/** Flags without a value, or with `=true`. */
const switches = new Set(
  'onetime noop sync-only keep-stage-file watch basic-auth client-insecure diff color template-cache no-template-cache systemd-notify'.split(
    ' ',
  ),
);
const usedSwitches = new Set('onetime noop sync-only keep-stage-file watch basic-auth client-insecure diff'.split(' '));
const withValue = new Set(
  'confdir config-file backend node srv-domain srv-record interval log-level log-format prefix client-ca-keys client-cert client-key scheme username password escape'.split(
    ' ',
  ),
);
/** Flags of other backends, which confd takes with any backend, and settings of the fork's own workings. */
const withoutEffect = new Set(
  'auth-token auth-type app-id user-id role-id secret-id path table separator file filter secret-keyring failure-mode debounce batch-interval stat-cache-ttl backend-timeout check-cmd-timeout reload-cmd-timeout dial-timeout read-timeout write-timeout retry-max-attempts retry-base-delay retry-max-delay watch-error-backoff preflight-timeout shutdown-timeout watchdog-interval metrics-addr diff-context resource mock-data'.split(
    ' ',
  ),
);
const otherNames: Readonly<Record<string, string>> = { n: 'node', 'client-cakeys': 'client-ca-keys', h: 'help' };
const truths: Readonly<Record<string, boolean>> = {
  ...{ '1': true, t: true, T: true, true: true, TRUE: true, True: true },
  ...{ '0': false, f: false, F: false, false: false, FALSE: false, False: false },
};

type Flags = {
  readonly values: Map<string, string>;
  readonly on: Map<string, boolean>;
  readonly nodes: string[];
  readonly ignored: string[];
  isFork: boolean;
  asked: 'help' | 'version' | undefined;
};

/**
 * Translates the flags of confd, and those of its maintained fork, which has the backend as a command: `confd etcd --node …`. The
 * fork reads a variable for each flag, confd reads three.
 */
export function translateConfdFlags(
  argv: readonly string[],
  env: Environment,
  exists: (path: string) => boolean,
): Translated {
  const refused = (reason: string) => ({ ok: false, reason, exitCode: misused }) as const;
  const read = readFlags(argv);
  if (!read.ok) return refused(read.reason);
  const flags = read.value;
  if (flags.asked !== undefined) {
    const args = flags.asked === 'help' ? ['files', '--help'] : ['--version'];
    return { ok: true, value: { args, env: {}, ignored: [] } };
  }
  const strange = takeVariables(flags, env);
  if (strange !== undefined) return refused(strange);
  const backend = flags.values.get('backend') || 'etcd';
  if (!['etcd', 'etcdv3', 'env'].includes(backend)) {
    return { ...refused(`the backend ${backend} is not supported: etcdv3 and env are`), exitCode: failed };
  }
  const reason = whyRefused(flags);
  return reason === undefined ? { ok: true, value: compose(flags, backend, exists) } : refused(reason);
}

function readFlags(argv: readonly string[]): Parsed<Flags> {
  const flags: Flags = {
    ...{ values: new Map(), on: new Map(), nodes: [], ignored: [] },
    ...{ isFork: false, asked: undefined },
  };
  const rest = [...argv];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const found = /^--?([^=]+)(?:=([\s\S]*))?$/.exec(word);
    if (found === null || word === '--') {
      if (backends.has(word)) {
        flags.isFork = true;
        flags.values.set('backend', word);
        continue;
      }
      // confd reads no flags after an argument that is none.
      flags.ignored.push([word, ...rest].join(' '));
      break;
    }
    const [, given = '', attached] = found;
    const name = otherNames[given] ?? given;
    if (name === 'help' || name === 'version') {
      flags.asked = name;
      break;
    }
    const reason = switches.has(name)
      ? takeSwitch(flags, name, attached)
      : takeValue(flags, given, name, attached ?? rest.shift());
    if (reason !== undefined) return rejected(reason);
  }
  return accepted(flags);
}

/** Returns why the flag is refused, if it is. */
function takeSwitch({ on, ignored }: Flags, name: string, attached = 'true'): string | undefined {
  const truth = truths[attached || 'true'];
  if (truth === undefined) return `${attached} is neither true nor false`;
  if (usedSwitches.has(name)) on.set(name, truth);
  else ignored.push(`-${name}`);
  return undefined;
}

/** Returns why the flag is refused, if it is. */
function takeValue(flags: Flags, given: string, name: string, value: string | undefined): string | undefined {
  if (/^(check-config|preflight|validate)$/.test(name)) {
    return `-${name} is not supported: -noop says what would be made, and ends with another code than 0 when something is wrong`;
  }
  if (!withValue.has(name) && !withoutEffect.has(name)) return `-${given} is no flag of confd that pointsman knows`;
  if (value === undefined) return `-${given} needs a value`;
  if (withoutEffect.has(name)) flags.ignored.push(`-${given}`);
  // confd takes an empty node for none.
  else if (name === 'node') flags.nodes.push(...(value === '' ? [] : [value]));
  else flags.values.set(name, value);
  return undefined;
}

/** Variables count where no flag does. Returns why one is refused, if one is. */
function takeVariables({ values, on, isFork }: Flags, env: Environment): string | undefined {
  const take = (name: string, variable: string) => {
    const value = env[variable];
    if (value !== undefined && value !== '' && !values.get(name)) values.set(name, value);
  };
  take('client-ca-keys', 'CONFD_CLIENT_CAKEYS');
  take('client-cert', 'CONFD_CLIENT_CERT');
  take('client-key', 'CONFD_CLIENT_KEY');
  if (!isFork) return undefined;
  if (!values.has('config-file')) take('config-file', 'CONFD_CONFIG_FILE');
  for (const name of ['confdir', 'interval', 'log-level', 'log-format', 'prefix', 'srv-domain', 'srv-record']) {
    take(name, `CONFD_${name.toUpperCase().replaceAll('-', '_')}`);
  }
  for (const name of ['onetime', 'noop', 'sync-only', 'keep-stage-file']) {
    const text = env[`CONFD_${name.toUpperCase().replaceAll('-', '_')}`];
    if (on.has(name) || text === undefined || text === '') continue;
    const truth = truths[text];
    if (truth === undefined) return `${text} is neither true nor false`;
    on.set(name, truth);
  }
  return undefined;
}

/** Why the call is refused; undefined when it is not. Moves what has no effect to `ignored`. */
function whyRefused({ values, on, ignored, isFork }: Flags): string | undefined {
  if (!values.get('client-cert') !== !values.get('client-key')) {
    // confd needs both, and the fork, too.
    values.delete('client-cert');
    values.delete('client-key');
    ignored.push('-client-cert and -client-key without each other');
  }
  if (on.get('client-insecure') === true) {
    // confd takes the flag and checks certificates all the same; the fork does not check them.
    if (isFork)
      return '-client-insecure is not supported: pointsman checks certificates; give the CA with -client-ca-keys';
    ignored.push('-client-insecure');
  }
  if (values.get('username') && on.get('basic-auth') !== true) {
    // confd logs in only with -basic-auth.
    values.delete('username');
    ignored.push('-username without -basic-auth');
  }
  const interval = values.get('interval') ?? '';
  if (!/^(-?[0-9]+)?$/.test(interval)) return `-interval ${interval} is not a number of seconds`;
  if (Number(interval) < 0) {
    // confd polls without a pause then; pointsman sees each change anyway.
    values.delete('interval');
    ignored.push('-interval below 0');
  }
  return undefined;
}

/** The settings of confd.toml count where no flag does, so nothing is passed that was not given. */
function compose(flags: Flags, backend: string, exists: (path: string) => boolean): ConfdCall {
  const { values, on, ignored } = flags;
  const env: Record<string, string> = {};
  const given = (name: string) => values.get(name) || undefined;
  const howToEscape = values.get('escape');
  if (howToEscape !== undefined) env['POINTSMAN_ESCAPE'] = howToEscape;
  if (given('username') !== undefined && backend !== 'env') {
    env['POINTSMAN_ETCD_PASSWORD'] = values.get('password') ?? '';
  }
  const named = values.has('config-file') ? given('config-file') : '/etc/confd/confd.toml';
  const config = named !== undefined && exists(named) ? named : undefined;
  const args = [
    ...option('--as-confd', backend),
    // confd.toml may name the folder.
    ...option('--confd-dir', given('confdir') ?? (config === undefined ? '/etc/confd' : undefined)),
    ...option('--confd-config', config),
    ...(backend === 'env' ? ['--from-environment'] : registryArgs(flags, backend, config !== undefined)),
    ...option('--prefix', given('prefix')),
    ...option('--interval', intervalOf(given('interval'))),
    ...option('--log-level', levelOf(given('log-level')?.toLowerCase())),
    ...option('--log-format', given('log-format')?.replace(/^text$/, 'pretty')),
    ...modeArgs(on),
    ...(on.get('sync-only') === true ? ['--sync-only'] : []),
    ...(on.get('keep-stage-file') === true ? ['--keep-stage-file'] : []),
  ];
  return { args: ['files', ...args], env, ignored };
}

function modeArgs(on: ReadonlyMap<string, boolean>): readonly string[] {
  const [isOnce, isNoop, isDiff] = ['onetime', 'noop', 'diff'].map((name) => on.get(name) === true);
  return [...(isOnce && !(isNoop && isDiff) ? ['--once'] : []), ...(isNoop ? [isDiff ? '--diff' : '--noop'] : [])];
}

function registryArgs({ values, nodes }: Flags, backend: string, hasConfig: boolean): readonly string[] {
  const given = (name: string) => values.get(name) || undefined;
  const domain = given('srv-domain');
  const record = given('srv-record') ?? (domain === undefined ? undefined : `_${backend}._tcp.${domain}`);
  const members = nodes.map((node) => node.replace(/^.*?:\/\//, '').replace(/\/$/, '')).join(',');
  const scheme = schemeOf(nodes[0] ?? '', record === undefined ? undefined : { backend, scheme: given('scheme') });
  // With http confd uses no certificates.
  const files = ['client-ca-keys', 'client-cert', 'client-key'];
  const [ca, cert, key] = files.map((name) => (scheme === 'http' ? undefined : given(name)));
  const kind = scheme === 'https' || ca !== undefined || cert !== undefined ? 'etcds' : 'etcd';
  const at = record === undefined ? (members === '' ? undefined : `${kind}://${members}`) : `${kind}+srv://${record}`;
  return [
    ...option('--registry', at),
    // confd.toml may name certificates, too.
    ...(scheme === 'http' && hasConfig ? ['--without-tls'] : []),
    ...option('--etcd-ca', ca),
    ...option('--etcd-cert', cert),
    ...option('--etcd-key', key),
    ...option('--etcd-user', given('username')),
  ];
}

/** The scheme that all members have; undefined where none is said. `srv`: what counts for members that SRV records name. */
function schemeOf(
  firstNode: string,
  srv: { readonly backend: string; readonly scheme: string | undefined } | undefined,
): 'http' | 'https' | undefined {
  if (firstNode.startsWith('https://') || srv?.scheme === 'https') return 'https';
  // The backend etcd gives these members the scheme, and http is confd's default.
  const isPlain = srv === undefined ? firstNode.startsWith('http://') : srv.backend === 'etcd';
  return isPlain ? 'http' : undefined;
}

const option = (name: string, value: string | undefined): readonly string[] =>
  value === undefined ? [] : [name, value];

/** pointsman looks once an hour at least. */
function intervalOf(text: string | undefined): string | undefined {
  const seconds = Number(text ?? 0);
  return seconds === 0 ? undefined : `${Math.min(seconds, 3600)}s`;
}

function levelOf(level: string | undefined): string | undefined {
  if (level === 'panic' || level === 'fatal') return 'error';
  return level === 'warning' ? 'warn' : level;
}
