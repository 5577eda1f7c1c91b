import { describe, expect, test } from 'vitest';
import { containerOf } from '../../../test/support/containers.ts';
import { labelFields } from '../../engine/label-groups.ts';
import { formatAddress } from '../../model/address.ts';
import { declarationFields } from '../../settings/declaration.ts';
import type { InstanceTraits } from '../../settings/register.ts';
import { type LabelContext, readLabels } from './container-labels.ts';

const traits: InstanceTraits = {
  net: undefined,
  weight: 100,
  version: undefined,
  zone: 'eu',
  role: 'active',
  meta: {},
  check: undefined,
  rhythm: { intervalMs: 2000, timeoutMs: 2000, rise: 1, fall: 3 },
  unhealthy: 'withdraw',
};
const context: LabelContext = {
  traits,
  machine: { hostname: 'node7', home: undefined, stateHome: undefined, root: false },
  publishedAt: undefined,
  ownContainer: undefined,
};

type Fields = Parameters<typeof containerOf>[0];
const published = [{ port: 8080, hostIp: '0.0.0.0', hostPort: 18080 }];
const read = (labels: Readonly<Record<string, string>>, fields: Fields = { published }, given = context) =>
  readLabels(containerOf({ labels, ...fields }), given);
const problemsOf = (labels: Readonly<Record<string, string>>, fields?: Fields) =>
  read(labels, fields).problems.map(String);
const only = (labels: Readonly<Record<string, string>>, fields?: Fields, given?: LabelContext) => {
  const { instances, problems } = read(labels, fields, given);
  expect(problems.map(String)).toEqual([]);
  const [one] = instances;
  if (one === undefined || instances.length > 1) throw new Error(`${instances.length} instances`);
  return one;
};
const addressOf = (...args: Parameters<typeof only>): string => {
  const { address } = only(...args).settings;
  return address.kind === 'given' ? formatAddress(address.address) : `:${'port' in address ? address.port : ''}`;
};

test('every field of a declaration can be a label', () => {
  // What a label calls meta has a name behind it.
  const named = declarationFields.filter((field) => field !== 'meta');
  expect(labelFields).toEqual(expect.arrayContaining(named));
});

describe('the labels of a container', () => {
  test('declare an instance whose id stays when the container is made anew', () => {
    const { settings } = only({ 'pointsman.service': 'web', 'pointsman.version': '2', 'pointsman.meta.team': 'blue' });
    expect(settings).toMatchObject({
      service: 'web',
      id: 'node7-web-1',
      zone: 'eu',
      version: '2',
      meta: { team: 'blue', container: 'f00dbabe0000' },
    });
  });

  test('name the service of Compose, or of Swarm, where they leave it empty', () => {
    const compose = { 'pointsman.service': '', 'com.docker.compose.service': 'shop' };
    expect(only(compose).settings.service).toBe('shop');
    const swarm = { 'pointsman.service': 'true', 'com.docker.swarm.service.name': 'stack_shop' };
    expect(only(swarm).settings.service).toBe('stack_shop');
  });

  test('declare several services, which share what is no one service’s own', () => {
    const labels = {
      'pointsman.web.port': '80',
      'pointsman.admin.port': '81',
      'pointsman.admin.weight': '5',
      'pointsman.weight': '50',
      'pointsman.network': 'bridge',
    };
    const { instances, problems } = read(labels);
    expect(problems).toEqual([]);
    expect(instances.map(({ settings: { service, weight, address } }) => ({ service, weight, address }))).toMatchObject(
      [
        { service: 'web', weight: 50, address: { address: { host: '172.17.0.2', port: 80 } } },
        { service: 'admin', weight: 5, address: { address: { host: '172.17.0.2', port: 81 } } },
      ],
    );
  });

  test('leave the health to the HEALTHCHECK unless they name a check', () => {
    const service = { 'pointsman.service': 'web' };
    const healthy = { published, health: 'healthy' } as const;
    expect(only(service, healthy)).toMatchObject({ byHealthcheck: true, settings: { check: { kind: 'none' } } });
    const named = { ...service, 'pointsman.check': 'tcp' };
    expect(only(named, healthy)).toMatchObject({ byHealthcheck: false, settings: { check: { kind: 'tcp' } } });
    const flag: LabelContext = {
      ...context,
      traits: { ...traits, check: { kind: 'tcp', host: undefined, port: undefined } },
    };
    expect(only(service, { published }, flag)).toMatchObject({
      byHealthcheck: false,
      settings: { check: { kind: 'tcp' } },
    });
  });

  test('leave out an instance with a mistake, and no other', () => {
    const { instances, problems } = read({ 'pointsman.service': 'web', 'pointsman.admin.port': 'http' });
    expect(instances.map(({ settings }) => settings.service)).toEqual(['web']);
    expect(problems.map(String)).toEqual([
      'container web-1: label pointsman.admin.port: "http" is not a port: 1 to 65535',
    ]);
  });

  test.each([
    [
      { 'pointsman.service': 'web', 'pointsman.wieght': '5' },
      'container web-1: label pointsman.wieght: unknown label (did you mean weight?)',
    ],
    [
      { 'pointsman.port': '80' },
      'container web-1: its labels name no service (set pointsman.service, to nothing for the name of the Compose service)',
    ],
    [
      { 'pointsman.service': '' },
      'container web-1: label pointsman.service: it is empty, and the container is of no Compose project or Swarm service (set it to the name of the service)',
    ],
    [
      { 'pointsman.service': 'web', 'pointsman.weight': '257' },
      'container web-1: label pointsman.weight: "257" is not a whole number from 0 to 256',
    ],
    [
      { 'pointsman.service': 'web', 'pointsman.check': 'cmd:true' },
      'container web-1: label pointsman.check: a label cannot run a command on this host (use the HEALTHCHECK of the container, which runs within it)',
    ],
    [
      { 'pointsman.service': 'web', 'pointsman.address': 'env:HOST' },
      'container web-1: label pointsman.address: it is read from no variable (use HOST:PORT, or :PORT on this host)',
    ],
    [
      { 'pointsman.service': 'web', 'pointsman.id': '-x' },
      'container web-1: label pointsman.id: "-x" is not an instance id: 1 to 127 of A-Z a-z 0-9 . _ : -, a letter or digit first',
    ],
  ])('%j are refused with their place and a way out', (labels, problem) => {
    expect(problemsOf(labels)).toEqual([problem]);
  });
});

describe('the address of a container', () => {
  const service = { 'pointsman.service': 'web' };

  test('is its published port on this host', () => {
    expect(addressOf(service)).toBe(':18080');
    expect(addressOf(service, { published }, { ...context, publishedAt: '10.0.0.7' })).toBe('10.0.0.7:18080');
  });

  test('is the address that the port is published at', () => {
    const at = [...published, { port: 8080, hostIp: '10.1.1.1', hostPort: 9 }];
    expect(addressOf(service, { published: at })).toBe('10.1.1.1:9');
  });

  test('is its own in the network that a label names, also without the prefix of Compose', () => {
    const networks = [{ name: 'shop_back', ipv4: '172.20.0.9', ipv6: undefined }];
    const labels = { ...service, 'pointsman.network': 'back', 'com.docker.compose.project': 'shop' };
    expect(addressOf(labels, { networks })).toBe('172.20.0.9:8080');
    expect(addressOf({ ...labels, 'pointsman.network': 'shop_back' }, { networks })).toBe('172.20.0.9:8080');
    const task = { ...service, 'pointsman.network': 'back', 'com.docker.stack.namespace': 'shop' };
    expect(addressOf(task, { networks })).toBe('172.20.0.9:8080');
  });

  test('is an IPv6 address where the network has no other', () => {
    const networks = [{ name: 'six', ipv4: undefined, ipv6: 'fd00::9' }];
    expect(addressOf({ ...service, 'pointsman.network': 'six' }, { networks })).toBe('[fd00::9]:8080');
  });

  test('is this host’s for a container with the network of its host', () => {
    expect(addressOf(service, { networkMode: 'host' })).toBe(':8080');
  });

  describe('for an agent in a container with a network of its own', () => {
    const ownContainer = { id: 'a'.repeat(64), name: 'agent' };
    const within = { ...context, ownContainer };
    const refusal =
      'container web-1: the agent cannot announce port 18080 of this machine: it runs in the container agent, and does not see the addresses of the machine (give the agent --containers-host, the address of this machine that balancers reach)';

    test('is not known on this host', () => {
      const refusals = (labels = service, fields: Fields = { published }) =>
        read(labels, fields, within).problems.map(String);
      expect(refusals()).toEqual([refusal]);
      expect(refusals(service, { networkMode: 'host', exposed: [18080] })).toEqual([refusal]);
      expect(refusals({ ...service, 'pointsman.address': ':18080' } as typeof service)).toEqual([refusal]);
    });

    test('needs a host name for the container as well, if it has none', () => {
      const machine = { ...context.machine, hostname: 'aaaaaaaaaaaa' };
      const { problems } = read(service, { published }, { ...within, machine });
      expect(String(problems)).toMatch(/ reach, and hostname: for its container, because ids begin with it\)$/);
    });

    test('is what --containers-host, pointsman.network or pointsman.address says', () => {
      expect(addressOf(service, { published }, { ...within, publishedAt: '10.0.0.7' })).toBe('10.0.0.7:18080');
      expect(addressOf({ ...service, 'pointsman.network': 'bridge' }, {}, within)).toBe('172.17.0.2:8080');
      expect(addressOf({ ...service, 'pointsman.address': '10.0.0.8:80' }, {}, within)).toBe('10.0.0.8:80');
    });
  });

  test.each([
    [
      {},
      {},
      'label pointsman.port: its port 8080 is not published on this host (publish it, or set pointsman.network to a network of the container that balancers reach)',
    ],
    [
      {},
      { exposed: [80, 443] },
      'label pointsman.port: it is missing, and the container exposes 80, 443 (set it to the port that the application listens on)',
    ],
    [
      {},
      { exposed: [] },
      'label pointsman.port: it is missing, and the container exposes no port (set it to the port that the application listens on)',
    ],
    [
      { 'pointsman.network': 'back' },
      {},
      'label pointsman.network: the container is not in the network back; it is in bridge',
    ],
    [
      { 'pointsman.network': 'bridge' },
      { networks: [{ name: 'bridge', ipv4: undefined, ipv6: undefined }] },
      'label pointsman.network: the container has no address in the network bridge',
    ],
  ])('is missing with %j and %j', (labels, fields, problem) => {
    expect(problemsOf({ ...service, ...labels }, fields)).toEqual([`container web-1: ${problem}`]);
  });
});
