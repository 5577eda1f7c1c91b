import type { CommandName } from './commands.ts';

/** A command line that works as it is, and its effect. */
export type Example = { readonly line: string; readonly effect: string };

const example = (line: string, effect: string): Example => ({ line: `pointsman ${line}`, effect });

/** The examples at the end of each command's help. */
export const examples: Readonly<Record<CommandName, readonly Example[]>> = {
  balance: [
    example('balance --http 0.0.0.0:80', 'serve HTTP, with an etcd on this machine'),
    example('balance --registry etcd://10.0.0.1:2379,10.0.0.2:2379', 'follow a cluster of etcd'),
    example('balance --config /etc/pointsman.yaml', 'read the settings from a file'),
  ],
  register: [
    example('register --service web --address 10.0.0.7:8080 -- node server.js', 'start and announce an application'),
    example('register --service web --address :8080 --check http://:8080/health', 'announce it while it is healthy'),
    example('register --dir /etc/pointsman/instances', 'announce all instances of this machine'),
    example('register --containers unix:///run/podman/podman.sock', 'announce the labelled containers of podman'),
  ],
  files: [
    example('files --config /etc/pointsman.yaml --diff', 'show what would change'),
    example('files --confd-dir /etc/confd --once', "make confd's files once"),
  ],
  check: [
    example('check --config /etc/pointsman.yaml', 'check the settings of a balancer'),
    example('check web.json', 'check the policy of the service web'),
    example('check --without-haproxy declarations/', 'check the declarations below a folder, in CI'),
  ],
  render: [
    example('render --diff', 'show what would change in the running balancer'),
    example('render --out /tmp/rendered', 'write haproxy.cfg and its maps into a folder'),
  ],
  diff: [
    example('diff shop.yaml --set shop --prune', 'show what apply with these flags would do'),
    example('diff shop/ --without-balancers', 'compare with the registry only'),
  ],
  status: [
    example('status', 'show balancers and services'),
    example('status web', 'also show the instances of the service web'),
    example('status --watch', 'update the view every second'),
  ],
  explain: [example('explain web/web-1', 'explain the instance web-1 of the service web')],
  events: [example('events --follow', 'show new events as they come')],
  certificates: [
    example('certificates', 'show the certificate of each host, and why an order failed'),
    example('certificates --renew shop.example.com', 'order a new certificate for this host now'),
  ],
  apply: [
    example('apply declarations', 'write what the files in the folder declare'),
    example('apply --set shop --prune shop.yaml', 'also remove what the set shop declared before'),
    example('apply --watch --prune /srv/declarations', 'follow a checkout of git'),
  ],
  export: [
    example('export > declarations.yaml', 'save everything that has no lease'),
    example('export --to declarations', 'write a file for each service'),
    example('export --set shop --area services', 'print the policies of one set'),
  ],
  wait: [
    example('wait web/web-1 --timeout 1m', 'wait until every balancer serves the instance'),
    example('wait web/web-1 --gone', 'wait until no balancer sends it requests'),
    example('wait --certificate shop.example.com', 'wait until every balancer serves the certificate'),
  ],
  rollout: [
    example(
      'rollout web -- docker compose up -d --no-deps --no-recreate --scale web=2 web',
      'replace one container of Compose',
    ),
    example('rollout web --create -- docker compose up -d web', 'start the first containers of a service'),
    example(
      'rollout web --engine tcp://10.0.0.1:2375 --engine tcp://10.0.0.2:2375 -- ./start-web',
      'replace the containers of two hosts, one host after the other',
    ),
  ],
  shift: [
    example('shift web --to v2', 'move the service web to version v2 in three steps'),
    example('shift web --to v2 --weight 10%,100% --every 5m --abort-if-errors 2%', 'go back if 2% of requests fail'),
  ],
  pin: [example('pin web', 'keep the requests of web with its present versions')],
  policy: [
    example('policy set web maxconn=100 timeouts.server=7s', 'set two fields of the policy of web'),
    example('policy get web', 'show the policy as a file that apply takes'),
    example('policy edit web', 'edit the policy with $EDITOR'),
    example('policy delete web', 'delete it, so that web has the default policy'),
  ],
  drain: [example("drain web/web-1 --for 1h --why 'kernel update' --wait 5m", 'drain, and wait for open requests')],
  stop: [example('stop shop-web-1', 'drain the container shop-web-1, and stop it')],
  undrain: [example('undrain web/web-1', 'send requests to the instance again')],
  maintenance: [
    example('maintenance web/web-1', 'take the instance out'),
    example('maintenance web --for 15m', 'answer all requests of web with the maintenance page'),
  ],
  weight: [example('weight web/web-1 10', 'give it a tenth of the default weight')],
  pause: [example('pause web --for 1m', 'let the requests of web wait for up to a minute')],
  resume: [example('resume web', 'let the waiting requests go on')],
  clear: [example('clear web/web-1', 'end the override of the instance')],
  overrides: [example('overrides web', 'list the overrides of the service web')],
  release: [
    example('release web', 'stop holding what is gone of the service web'),
    example('release --all', 'stop holding everything that is gone'),
  ],
  password: [
    example('password ada >> shop.users', 'add a user to a file, with a password that pointsman makes and shows'),
    example('password ada --stdin >> shop.users', 'the same with a password of your own'),
  ],
  roles: [example('roles balancer/lb1 register/web | sh', 'create two users in etcd')],
  demo: [example('demo', 'run until Ctrl-C')],
  schema: [example('schema > pointsman.schema.json', 'save the schema for your editor')],
  completion: [example('completion bash >/etc/bash_completion.d/pointsman', 'complete commands and flags in bash')],
  man: [example('man | man -l -', 'read the manual page')],
};
