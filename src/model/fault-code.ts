/** The meaning of an error of one kind for its reader. */
type FaultKind = {
  readonly means: string;
  readonly todo: string;
};

/** Every kind of error that a user can get, by its code. docs/errors.md is made from this table. */
export const faultKinds = {
  usage: {
    means: 'The command line is wrong: an unknown command or flag, an operand that is missing or makes no sense.',
    todo: 'Correct it; `pointsman COMMAND --help` shows what there is. Nothing was started.',
  },
  settings: {
    means:
      'A setting is wrong or does not go with another: a flag, a variable, a field of the YAML file, or a file of `register --dir`.',
    todo: 'Correct it where the message says: `--flag`, `POINTSMAN_VARIABLE` or `file:line:column`. `pointsman check` says all that is wrong at once.',
  },
  template: {
    means: 'A template cannot be read, or writes something that is not safe where it stands.',
    todo: 'Correct it at `file:line:column`, see [templates.md](templates.md). A balancer that runs goes on with the one before.',
  },
  'config-check': {
    means: 'HAProxy refuses the configuration, or its check took too long or could not be run.',
    todo: 'Look at the named line of `haproxy.cfg.refused`, and of the template that made it. The last good configuration serves; see [checks.md](checks.md).',
  },
  'haproxy-missing': {
    means: 'There is no haproxy to run or to check with, it is older than 2.6, or it does not tell its version.',
    todo: 'Install HAProxy 2.6 or later, or name it with `--haproxy`.',
  },
  'haproxy-start': {
    means: 'HAProxy did not start, or ended at once; the message holds what it said.',
    todo: 'Mend what it names. `haproxy -c -f` on the haproxy.cfg in `--dir` says it again.',
  },
  'haproxy-reload': {
    means: 'A hot reload was asked for and did not happen: no answer, no new worker, or the reload command failed.',
    todo: 'None at first: the old worker serves, instances go on changing, and it is tried again, at last every 30 s. If it stays, look at the log of HAProxy.',
  },
  'haproxy-refused': {
    means: 'HAProxy was asked to reload and refused a configuration that its check had accepted.',
    todo: 'Mend what the message names: most often a port or a file that somebody else holds. The old worker serves.',
  },
  'haproxy-runtime': {
    means: 'HAProxy does not answer on its sockets, or its worker has just gone.',
    todo: 'None if it passes: the connection is made anew, and what runs is read and corrected. If it stays, see whether HAProxy runs, and who may use `run/` in `--dir`.',
  },
  'address-in-use': {
    means: 'Somebody else listens where HAProxy or the admin port should.',
    todo: 'End what listens there (`ss -ltnp` shows it), or choose another address with `--http`, `--https` or `--admin`.',
  },
  'folder-in-use': {
    means: "Another pointsman runs on the same `--dir`; it would take this one's HAProxy.",
    todo: 'End the other one, whose pid the message names, or give each a `--dir` of its own.',
  },
  'registry-unreachable': {
    means: 'etcd or the folder does not answer in time, or etcd takes no writes because its quota is used up.',
    todo: 'Check `--registry`, the network, `etcdctl endpoint health` and `etcdctl alarm list`. What runs goes on with what is known, and connects when it can.',
  },
  'registry-denied': {
    means:
      'The registry is there and does not let this user in, or not do this: a user, a password or a role of etcd, or the rights on a folder.',
    todo: '`pointsman roles` prints the commands that make users with what they need; see [security.md](security.md).',
  },
  'registry-untrusted': {
    means:
      'TLS with etcd does not work: a certificate is not trusted, is for another name or has expired, or one side speaks TLS alone.',
    todo: 'Check what the message names: `--etcd-ca`, `--etcd-cert` and `--etcd-key`, or `etcds://` in `--registry`.',
  },
  'key-owned': {
    means: 'Another process registered this instance under the same id, or the key was written by hand.',
    todo: 'Give each instance an id of its own. If the other process is gone, its key goes with its lease; delete a key that was written by hand. `register` waits for the key and takes it when it is free; only a start without a command, and not of an agent, ends with this error. See [register.md](register.md#another-process-holds-the-key).',
  },
  'not-found': {
    means: 'There is no such service, instance or override.',
    todo: 'See `pointsman status` and `pointsman overrides` for the names that there are.',
  },
  'command-failed': {
    means: 'The check or reload command of an own file failed.',
    todo: 'Mend what the message holds of its output. After a failed check the file is as it was; see [files.md](files.md).',
  },
  deadline: {
    means: 'What was waited for did not come in time: not every balancer has acknowledged, or none could be asked.',
    todo: 'The message names who is missing and why; `pointsman status` shows them all. What was written stands, so it may be waited for again.',
  },
  storage: {
    means:
      'Something cannot be read from or written to disk: it is full, read-only or does not answer, or its rights forbid it.',
    todo: 'Make room, or mend the rights. Meanwhile HAProxy serves and instances go on changing; it is written when it can be.',
  },
} as const satisfies Readonly<Record<string, FaultKind>>;

/** The kind of an error, as a program can read it. */
export type FaultCode = keyof typeof faultKinds;
