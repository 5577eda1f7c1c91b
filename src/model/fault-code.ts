/** The meaning of an error of one kind for its reader. */
type FaultKind = {
  readonly means: string;
  readonly todo: string;
};

/** Every kind of error that a user can get, by its code. docs/errors.md is made from this table. */
export const faultKinds = {
  usage: {
    means: 'The command line is wrong: an unknown command or flag, an operand that is missing or makes no sense.',
    todo: 'Correct it; `pointsman COMMAND --help` lists the options. Nothing was started.',
  },
  settings: {
    means:
      'A setting is wrong, or two settings exclude each other. The setting is a flag, a variable, a field of the YAML file, or a file of `register --dir`.',
    todo: 'Correct the setting at the place in the message: `--flag`, `POINTSMAN_VARIABLE` or `file:line:column`. `pointsman check` reports all mistakes at once.',
  },
  template: {
    means: 'A template cannot be read, or writes a value at a place where it is not safe.',
    todo: 'Correct the template at `file:line:column`, see [templates.md](templates.md). A running balancer keeps using the template from before.',
  },
  'config-check': {
    means: 'HAProxy refuses the configuration, or the check took too long or could not run.',
    todo: 'Look at the named line of `haproxy.cfg.refused`, and of the template that made it. The last good configuration stays in use; see [checks.md](checks.md).',
  },
  'haproxy-missing': {
    means: 'pointsman finds no haproxy, or the haproxy is older than 2.6 or does not print its version.',
    todo: 'Install HAProxy 2.6 or later, or give its path with `--haproxy`.',
  },
  'haproxy-start': {
    means: 'HAProxy did not start, or ended at once. The message contains its output.',
    todo: 'Fix the cause in the message. `haproxy -c -f` with the haproxy.cfg in `--dir` prints it again.',
  },
  'haproxy-reload': {
    means: 'HAProxy did not reload: it did not answer, started no new worker, or the reload command failed.',
    todo: 'Wait first: the old worker keeps serving, instances still come and go, and pointsman retries, at most 30 s apart. If the error stays, look at the log of HAProxy.',
  },
  'haproxy-refused': {
    means: 'HAProxy refused a configuration at the reload that its check had accepted.',
    todo: 'Fix the cause in the message, most often a port or a file that another program uses. The old worker keeps serving.',
  },
  'haproxy-runtime': {
    means: 'HAProxy does not answer on its sockets, or its worker has just ended.',
    todo: 'Wait first: pointsman reconnects, reads the state of HAProxy and corrects it. If the error stays, check that HAProxy runs and that pointsman may use `run/` in `--dir`.',
  },
  'address-in-use': {
    means: 'Another program listens at the address of HAProxy or of the admin port.',
    todo: 'Stop the other program (`ss -ltnp` shows it), or choose another address with `--http`, `--https` or `--admin`.',
  },
  'folder-in-use': {
    means: 'Another pointsman uses the same `--dir`. Both would control the same HAProxy.',
    todo: 'Stop the other pointsman, whose pid is in the message, or give each its own `--dir`.',
  },
  'registry-unreachable': {
    means: 'etcd or the folder does not answer in time, or etcd accepts no writes because its quota is used up.',
    todo: 'Check `--registry`, the network, `etcdctl endpoint health` and `etcdctl alarm list`. A running process keeps working with the last known state, and reconnects when it can.',
  },
  'registry-denied': {
    means:
      'The registry refuses the user, the password or the operation. With a folder, the permissions of its files do.',
    todo: '`pointsman roles` prints the commands that create users with the permissions that they need; see [security.md](security.md).',
  },
  'registry-untrusted': {
    means:
      'TLS with etcd fails: a certificate is not trusted, is for another name or has expired, or only one side uses TLS.',
    todo: 'Check the setting in the message: `--etcd-ca`, `--etcd-cert` and `--etcd-key`, or `etcds://` in `--registry`.',
  },
  'key-owned': {
    means: 'Another process registered an instance with the same id, or somebody wrote the key by hand.',
    todo: 'Give each instance its own id. etcd deletes the key of a dead process when its lease expires. If somebody wrote the key by hand, delete it. `register` with a command, and an agent, wait until the key is free. Only `register` without a command ends with this error. See [register.md](register.md#another-process-holds-the-key).',
  },
  engine: {
    means:
      'The container engine (Docker, podman) does not answer, refuses a request, or answers in a way that pointsman does not understand.',
    todo: 'Check that the engine runs, that the socket is the right one, and that this user, or the socket proxy, allows the request in the message; see [containers.md](containers.md).',
  },
  conflict: {
    means:
      'Another program or person kept changing the same keys of the registry, or two sets of `pointsman apply` declare one key.',
    todo: 'The message names the keys. Run `pointsman apply` again when the other one has ended; see [policies-from-git.md](policies-from-git.md).',
  },
  'not-found': {
    means: 'The service, the instance or the override does not exist.',
    todo: '`pointsman status` and `pointsman overrides` list the existing names.',
  },
  'command-failed': {
    means: 'The check or reload command of a file in `templates` failed.',
    todo: 'Fix the cause in the message, which contains the output of the command. After a failed check the file is unchanged; see [files.md](files.md).',
  },
  deadline: {
    means:
      'A wait has failed: not every balancer has acknowledged before the deadline, no balancer answered, or a balancer refuses it.',
    todo: 'The message names the missing balancers and the reasons; `pointsman status` shows all of them. Changes that were written stay, so you can wait again.',
  },
  storage: {
    means:
      'A file cannot be read or written: the disk is full, read-only or does not answer, or permissions are missing.',
    todo: 'Make room, or fix the permissions. Meanwhile HAProxy serves, instances still come and go, and pointsman writes the file when it can.',
  },
} as const satisfies Readonly<Record<string, FaultKind>>;

/** The kind of an error, as a program can read it. */
export type FaultCode = keyof typeof faultKinds;
