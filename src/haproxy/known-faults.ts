// Longer than 300 lines: the faults are one table, which is read and extended as a whole.

/** A fault of HAProxy itself with servers that come and go, and which versions have it. */
export type KnownFault = {
  readonly id: string;
  /** The commit that fixed it in HAProxy's development branch, or where its change list says so. */
  readonly fix: string;
  readonly happens: string;
  /** The first version that has it; undefined: all versions before those without it. */
  readonly since?: string;
  /** By branch, the first patch version without it. A branch that is not named has it for good, as far as is known. */
  readonly fixed: Readonly<Record<string, number>>;
  /** The first branch whose every release is without it; undefined: every version has it, so it says nothing about the choice of one. */
  readonly absentFrom?: string;
  readonly answer: {
    /**
     * `unmet`: pointsman never triggers it. `avoided`: pointsman does something else instead. `corrected`: it happens, and pointsman ends
     * it soon. `open`: it happens.
     */
    readonly kind: 'unmet' | 'avoided' | 'corrected' | 'open';
    readonly text: string;
  };
  /** Only the deletion of a server or a backend at run time triggers it. */
  readonly deleting?: true;
};

/** Whether a version has a fault; `perhaps`: the version is newer than the change lists that were read. */
type Has = 'yes' | 'perhaps' | 'no';

/** The oldest version that pointsman runs with. */
const oldest = '2.6.0';

/** The last patch version of each branch whose change lists were read. */
const read: Readonly<Record<string, number>> = { '2.6': 23, '2.8': 16, '3.0': 12, '3.2': 26, '3.4': 7 };

/** For faults of a deletion, which pointsman does not make then. */
const notDeleted = {
  answer: {
    kind: 'avoided',
    text: 'A server that left stays in maintenance until the next reload, instead of being deleted.',
  },
  deleting: true,
} as const;

export const knownFaults: readonly KnownFault[] = [
  {
    id: 'no-connection-reuse',
    fix: '8a31783b6',
    happens:
      'A server that was added at run time never reuses a connection: each request opens another one, with a TLS handshake where the server has TLS. HAProxy then needs two to three times the processor time for a request.',
    fixed: { '2.6': 18, '2.8': 10, '2.9': 8 },
    absentFrom: '3.0',
    answer: {
      kind: 'open',
      text: 'A reload ends it for the servers that are there then. pointsman makes one when changes are quiet and these servers have traffic (`--reuse-interval`).',
    },
  },
  {
    id: 'delete-with-streams',
    fix: '95c4d2482',
    happens: 'HAProxy deletes a server that a request still refers to, and can crash.',
    fixed: { '2.6': 16, '2.8': 4 },
    absentFrom: '2.9',
    ...notDeleted,
  },
  {
    id: 'delete-with-waiting-requests',
    fix: 'ca686e320',
    happens:
      'HAProxy deletes a server while requests wait to try again after a failed connection to it, or are bound to it by a cookie, and can crash.',
    fixed: { '3.2': 22, '3.4': 3 },
    absentFrom: '3.5',
    ...notDeleted,
  },
  {
    id: 'delete-with-connections',
    fix: '1b8c5abee',
    happens: 'HAProxy deletes a server to which a connection is in use, and can crash.',
    fixed: { '2.6': 17, '2.8': 8 },
    absentFrom: '3.0',
    ...notDeleted,
  },
  {
    id: 'delete-with-private-connections',
    fix: '7dae3ceaa',
    happens:
      'HAProxy deletes a server to which a client has a connection of its own (HTTP/2 to the server, or NTLM), and can crash when that client goes on.',
    fixed: { '2.6': 18, '2.8': 10, '2.9': 8 },
    absentFrom: '3.0',
    ...notDeleted,
  },
  {
    id: 'delete-refused-after-http2',
    fix: '87b96cf3a',
    happens: 'A server that HAProxy spoke HTTP/2 with can never be deleted.',
    fixed: { '2.6': 18, '2.8': 10, '2.9': 8 },
    absentFrom: '3.0',
    ...notDeleted,
  },
  {
    id: 'deletes-at-once',
    fix: '7a02fcaf2',
    happens: 'Servers that are deleted at the same time as others end their health checks can corrupt a list.',
    fixed: { '2.6': 20, '2.8': 12, '3.0': 6 },
    absentFrom: '3.1',
    ...notDeleted,
  },
  {
    id: 'metrics-while-deleting',
    fix: 'f81c00cd4',
    happens: "HAProxy crashes when servers are deleted while somebody reads HAProxy's own /metrics.",
    fixed: { '2.6': 17, '2.8': 8 },
    absentFrom: '3.0',
    ...notDeleted,
  },
  {
    id: 'show-stat-while-deleting',
    fix: 'f175b08bf',
    happens: 'HAProxy crashes when servers are deleted while somebody reads `show stat`.',
    fixed: {},
    absentFrom: '2.8',
    ...notDeleted,
  },
  {
    id: 'show-servers-while-deleting',
    fix: '282ac06d8',
    happens:
      'HAProxy crashes when servers are deleted while somebody reads `show servers state` or `show servers conn`.',
    fixed: { '3.2': 22, '3.4': 3 },
    absentFrom: '3.5',
    ...notDeleted,
  },
  {
    id: 'address-while-deleting',
    fix: '50ae71762',
    happens: 'HAProxy crashes when a server is deleted just after its address was changed.',
    since: '2.9.0',
    fixed: { '3.0': 3 },
    absentFrom: '3.1',
    ...notDeleted,
  },
  {
    id: 'delete-backend',
    fix: 'change list of 3.4.4, "fix crash on delete first backend"',
    happens:
      'HAProxy crashes when a backend is deleted that is the first one, or (before 3.4.3) while somebody reads `show backend` or `show servers`.',
    since: '3.4.0',
    fixed: { '3.4': 4 },
    absentFrom: '3.5',
    answer: { kind: 'avoided', text: 'The empty backend of a service that left stays until the next reload.' },
    deleting: true,
  },
  {
    id: 'address-read-half-way',
    fix: 'cd994407a',
    happens:
      'A connection that is opened in the very moment in which the address of its server changes can go to a mixture of both addresses.',
    fixed: {},
    absentFrom: '2.9',
    answer: { kind: 'open', text: 'Instances that come under another name, as in most deploys, are not affected.' },
  },
  {
    id: 'former-address',
    fix: 'tried: 2.6.12 has it, 3.0.11 does not',
    happens:
      'A connection on which a request is open while the address of its server changes takes further requests afterwards, at the former address. The same happens when an instance leaves and comes back under its name at another address.',
    fixed: {},
    absentFrom: '3.0',
    answer: {
      kind: 'avoided',
      text: 'pointsman changes the address at run time and then reloads HAProxy, so that no request uses such a connection any more.',
    },
  },
  {
    id: 'leastconn-requeue',
    fix: '2a1599297',
    happens:
      'A server of a `leastconn` service that was added at run time is queued twice when it becomes ready, and HAProxy can crash when it comes and goes again.',
    since: '3.2.6',
    fixed: { '3.2': 19, '3.3': 10 },
    absentFrom: '3.4',
    answer: { kind: 'open', text: 'Take another version, or give the service another `balance`.' },
  },
  {
    id: 'maxconn-serves-nobody',
    fix: '86207e782',
    happens: 'A server with `maxconn` that was added at run time takes no requests before the next reload.',
    fixed: { '2.6': 9 },
    absentFrom: '2.8',
    answer: { kind: 'open', text: 'Take another version, or no `maxconn`.' },
  },
  {
    id: 'no-cookie',
    fix: '9a0e0d3a1',
    happens: 'A server that was added at run time has no cookie, so a `sticky` service loses clients.',
    fixed: { '2.8': 8 },
    absentFrom: '3.0',
    answer: { kind: 'avoided', text: 'pointsman has HAProxy make the cookies of the backend again.' },
  },
  {
    id: 'proto-of-tcp-servers',
    fix: 'e128fc7ce',
    happens: '`proto` is refused for a server of a tcp backend.',
    fixed: { '2.6': 16, '2.8': 4 },
    absentFrom: '2.9',
    answer: {
      kind: 'unmet',
      text: 'Servers of tcp services have no `proto`. With a template of your own that has it, adding a server takes a reload.',
    },
  },
  {
    id: 'hash-without-id',
    fix: '2ff861747',
    happens: 'Until its weight or state changes, a server without `id` gets requests by a wrong hash.',
    fixed: { '3.2': 20, '3.4': 1 },
    absentFrom: '3.5',
    answer: { kind: 'unmet', text: 'Each server has an `id`.' },
  },
  {
    id: 'hash-key-ignored',
    fix: '64c5d45a2',
    happens: 'Until its weight changes, the `hash-key` of a server is ignored.',
    since: '3.0.0',
    fixed: { '3.2': 12, '3.3': 3 },
    absentFrom: '3.4',
    answer: { kind: 'unmet', text: 'Servers have no `hash-key`, and so hash by `id`.' },
  },
  {
    id: 'slow-start',
    fix: '0797e05d9',
    happens: 'A server that was down for longer than its `slowstart` gets its full share at once.',
    fixed: { '2.6': 18, '2.8': 10 },
    absentFrom: '3.0',
    answer: { kind: 'unmet', text: 'Tried on 2.6.12: a server that was added, in maintenance or down starts slowly.' },
  },
  {
    id: 'round-robin-waits',
    fix: 'none; tried: 2.6.12, 3.0.11, 3.2.26 and 3.4.7 have it',
    happens:
      'After servers of a `roundrobin` service leave and others become usable, a server that is up can wait for its next request until the others got up to 16 × its weight, for each server that became usable: 1600 with the weight 100. No request fails.',
    fixed: {},
    answer: {
      kind: 'corrected',
      text: 'pointsman watches such a service until HAProxy has chosen each server once. A server that misses four turns, while the others get 20 requests or more, gets a new place by two changes of its weight, which is then as before (`passed-over` in the log).',
    },
  },
];

type Version = {
  readonly branch: string;
  readonly parts: readonly [major: number, minor: number, patch: number];
};

/** `2.6.12`, `3.4` (of `3.4-dev5`) or `3.0.11-1+deb13u4`; undefined for anything else. */
function parseVersion(text: string): Version | undefined {
  const [, major, minor, patch = '0'] = /^(\d+)\.(\d+)(?:\.(\d+))?(?:-[\w.+~-]*)?$/.exec(text) ?? [];
  if (major === undefined || minor === undefined) return undefined;
  return { branch: `${major}.${minor}`, parts: [Number(major), Number(minor), Number(patch)] };
}

function isBefore({ parts: a }: Version, { parts: b }: Version): boolean {
  return (a[0] - b[0] || a[1] - b[1] || a[2] - b[2]) < 0;
}

/** Whether a version comes before another one; false if one of them cannot be read. */
export function isBeforeVersion(version: string, other: string): boolean {
  const [one, two] = [parseVersion(version), parseVersion(other)];
  return one !== undefined && two !== undefined && isBefore(one, two);
}

/** Whether this version of HAProxy has this fault. */
function hasFault(version: string, { since = oldest, fixed, absentFrom }: KnownFault): Has {
  const given = parseVersion(version);
  const first = parseVersion(since);
  const absent = absentFrom === undefined ? undefined : parseVersion(absentFrom);
  if (given === undefined || first === undefined) return 'perhaps';
  if (isBefore(given, first) || (absent !== undefined && !isBefore(given, absent))) return 'no';
  const patch = given.parts[2];
  const fixedAt = fixed[given.branch];
  if (fixedAt !== undefined) return patch < fixedAt ? 'yes' : 'no';
  return patch <= (read[given.branch] ?? -1) ? 'yes' : 'perhaps';
}

/** Whether a fault makes one version better for pointsman than another. */
const distinguishes = ({ absentFrom, answer }: KnownFault): boolean =>
  absentFrom !== undefined && answer.kind !== 'unmet';

/** The faults that a version has or may have and that concern pointsman. Those of every version are not among them. */
export function faultsOfVersion(
  version: string,
): readonly { readonly fault: KnownFault; readonly has: Exclude<Has, 'no'> }[] {
  if (parseVersion(version) === undefined) return [];
  return knownFaults.flatMap((fault) => {
    const has = hasFault(version, fault);
    return has === 'no' || !distinguishes(fault) ? [] : [{ fault, has }];
  });
}

/** Whether this version can delete servers and backends safely while it serves. */
export function deletesSafely(version: string): boolean {
  return parseVersion(version) !== undefined && faultsOfVersion(version).every(({ fault }) => !fault.deleting);
}

const isKnownToHave = (version: string, id: string): boolean =>
  faultsOfVersion(version).some(({ fault, has }) => fault.id === id && has === 'yes');

/** Whether a server that was added at run time reuses connections in this version. */
export const reusesConnections = (version: string): boolean => !isKnownToHave(version, 'no-connection-reuse');

/** Whether open connections of a server go on to serve requests when its address changes. */
export const keepsFormerAddress = (version: string): boolean =>
  faultsOfVersion(version).some(({ fault }) => fault.id === 'former-address');

/** The oldest version of each branch that is known to have no fault that concerns pointsman. */
export function soundVersions(): readonly string[] {
  return Object.keys(read).flatMap((branch) => {
    const patches = knownFaults
      .filter(distinguishes)
      .map((fault) => (hasFault(`${branch}.0`, fault) === 'no' ? 0 : fault.fixed[branch]));
    // A fault may come later than the first release of its branch.
    const least = Math.max(...patches.map((patch) => patch ?? Number.POSITIVE_INFINITY));
    const sound = `${branch}.${least}`;
    return Number.isFinite(least) && faultsOfVersion(sound).length === 0 ? [sound] : [];
  });
}

/** Describes the faults of a version in a sentence or two; undefined: it has no known fault that concerns pointsman. */
export function describeFaults(version: string): string | undefined {
  const faults = faultsOfVersion(version);
  if (faults.length === 0) return undefined;
  const sure = faults.filter(({ has }) => has === 'yes').length;
  const perhaps = faults.length - sure;
  const open = faults.filter(({ fault }) => fault.answer.kind === 'open').map(({ fault }) => fault.id);
  const counted = (count: number) => `${count} known fault${count === 1 ? '' : 's'}`;
  const has =
    sure === 0
      ? `may have ${counted(perhaps)}`
      : `has ${counted(sure)}${perhaps === 0 ? '' : ` and may have ${perhaps} more`}`;
  const avoids =
    open.length === 0
      ? `pointsman avoids ${faults.length === 1 ? 'it' : 'all of them'}`
      : `pointsman avoids ${faults.length - open.length} of them, but not ${open.join(' and ')}`;
  const sound = soundVersions().map((one) => `${one} or later of ${parseVersion(one)?.branch}`);
  return `HAProxy ${version} ${has} with servers that come and go; ${avoids}. Without them: HAProxy ${sound.join(', ')} (docs/haproxy-versions.md)`;
}

/** The same in short, for a list of many things. */
export function countFaults(version: string): string | undefined {
  const faults = faultsOfVersion(version);
  if (faults.length === 0) return undefined;
  const avoided = faults.filter(({ fault }) => fault.answer.kind !== 'open').length;
  return `HAProxy ${version}: ${faults.length} known ${faults.length === 1 ? 'fault' : 'faults'}, ${avoided} of them avoided by pointsman (docs/haproxy-versions.md)`;
}

/** Which releases have a fault: `2.6.0 to 2.6.17, 3.0.0 to 3.0.12 and perhaps later ones`. */
export function affectedVersions(fault: KnownFault): string {
  if (fault.absentFrom === undefined) return 'all';
  const branches = [...new Set([...Object.keys(read), ...Object.keys(fault.fixed)])].sort();
  const first = parseVersion(fault.since ?? oldest);
  return branches
    .flatMap((branch) => {
      const from = `${branch}.${first?.branch === branch ? first.parts[2] : 0}`;
      if (hasFault(from, fault) === 'no') return [];
      const fixedAt = fault.fixed[branch];
      const last = `${branch}.${fixedAt === undefined ? (read[branch] ?? 0) : fixedAt - 1}`;
      return [
        `${from === last ? from : `${from} to ${last}`}${fixedAt === undefined ? ' and perhaps later ones' : ''}`,
      ];
    })
    .join(', ');
}
