import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { certificateKey } from '../../src/model/acme/keys.ts';
import { parseSealingKeys, seal } from '../../src/model/acme/sealing.ts';
import { formatStoredCertificate } from '../../src/model/acme/stored-certificate.ts';
import { certificateOf } from './acme-fleet.ts';
import { startApps } from './app.ts';
import { haproxyBin } from './balancer.ts';
import { makeAuthority } from './certificates.ts';
import { freePorts } from './ports.ts';
import { type RegistryKind, startScenario } from './scenario.ts';

/** The host that these tests ask for. */
export const host = 'shop.example.com';

type StoredOptions = {
  /** The names in the certificate. */
  readonly certifies?: readonly string[];
  /** The key of the entry that it is sealed for. */
  readonly place?: string;
  /** The text of the file of keys that it is sealed with. */
  readonly text?: string;
};

/** A registry, keys that seal, and an authority whose certificates are written to the registry by hand. */
export async function startStored(kind: RegistryKind = 'etcd') {
  const scenario = await startScenario(kind);
  const authority = await makeAuthority(join(scenario.dir, 'authority'));
  const [https = 0] = await freePorts(1);
  const keyFile = join(scenario.dir, 'sealing-keys');
  const newKey = () => randomBytes(32).toString('base64');
  await writeFile(keyFile, `${newKey()}\n`);
  const [app = ''] = await startApps('app');
  await scenario.writeByHand('instances/shop/a', app);
  await scenario.writeByHand(
    'services/shop',
    JSON.stringify({ hosts: ['*'], https: { certificate: 'auto', redirect: true } }),
  );
  let count = 0;
  return {
    ...scenario,
    https,
    keyFile,
    newKey,
    start: (...more: readonly string[]) =>
      scenario.balancer(
        ...['--haproxy', haproxyBin, '--https', `127.0.0.1:${https}`, '--sealing-keys', keyFile],
        ...more,
      ),
    /** The value of the entry of a host's certificate, sealed for a key. */
    async valueOf(
      name: string,
      { certifies = [name], place = certificateKey(name), text = '' }: StoredOptions = {},
    ): Promise<string> {
      const keys = parseSealingKeys(text === '' ? await readFile(keyFile, 'utf8') : text);
      if (!keys.ok) throw new Error(keys.reason);
      count += 1;
      const { certFile, keyFile: pem } = await authority.issue(`c${count}`, 2, certifies);
      return formatStoredCertificate({
        certificate: await readFile(certFile, 'utf8'),
        key: seal(await readFile(pem, 'utf8'), place, keys.value, randomBytes(12)),
        issuedAt: new Date().toISOString(),
        authority: undefined,
        renewAt: undefined,
        renewBy: undefined,
      });
    },
    /** The certificate's serial number; undefined: the handshake fails. */
    served: async (name = host) => (await certificateOf(https, name))?.serialNumber,
    /** Removes a key as a person does without pointsman. */
    async removeByHand(key: string): Promise<void> {
      if (scenario.etcd === undefined) await rm(join(scenario.dir, 'registry', key));
      else await scenario.etcd.ctl('del', `/pointsman/${key}`);
    },
    /** Why the balancer does not serve a key, from its acknowledgement. */
    async refusal(key: string): Promise<string | undefined> {
      const { refusals = [] } = JSON.parse(await acknowledgement()) as { refusals?: { key: string; reason: string }[] };
      return refusals.find((one) => one.key === key)?.reason;
    },
  };

  async function acknowledgement(): Promise<string> {
    if (scenario.etcd !== undefined) {
      return (await scenario.etcd.ctl('get', '--prefix', '/pointsman/balancers/')).split('\n')[1] ?? '{}';
    }
    const folder = join(scenario.dir, 'registry/balancers');
    const [name] = (await readdir(folder).catch(() => [])).filter((one) => !one.startsWith('.'));
    return name === undefined ? '{}' : readFile(join(folder, name), 'utf8');
  }
}
