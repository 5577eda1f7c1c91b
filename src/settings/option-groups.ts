import { acmeOptions } from './acme.ts';
import { addressOptions } from './addresses.ts';
import { holdingOptions } from './holding.ts';
import { limitOptions } from './limits.ts';
import { logOptions } from './log.ts';
import { traitOptions } from './register.ts';
import { layoutOptions, registryOptions } from './registry.ts';

const keys = (table: object): readonly string[] => Object.keys(table);

/** The headings of a command's help, in order, with the keys of their options. */
const groups: readonly (readonly [heading: string, readonly string[]])[] = [
  [
    'HTTP and HTTPS:',
    [
      ...['http', 'https', 'certificates', 'http3', 'accessLog', 'normalizePaths', 'trustedProxies', 'proxyProtocol'],
      ...['maintenancePage', 'errorPages', 'defaultErrorPages', 'serverTls', 'secrets'],
    ],
  ],
  ['Certificates by ACME:', keys(acmeOptions)],
  ['HAProxy:', ['haproxy', 'haproxyMode', 'checkCommand', 'reloadCommand', 'haproxyTemplates', 'haproxyMetrics']],
  [
    'Reload and stop:',
    [
      ...['reloadInterval', 'serviceReloadInterval', 'reuseInterval', 'hardStopAfter', 'onStop', 'lameDuck'],
      'stopTimeout',
    ],
  ],
  ['Instance:', keys(traitOptions)],
  ['Admin port:', ['admin', 'adminHosts', 'adminTokenFile']],
  ['Registry:', [...keys(registryOptions), ...keys(layoutOptions)]],
  ['Lost and deleted entries:', ['guardShare', 'guardMinimum', 'guardHold', 'guardWindow', ...keys(holdingOptions)]],
  ['Addresses of instances:', keys(addressOptions)],
  ['Limits:', keys(limitOptions)],
  ['Log:', keys(logOptions)],
];

/** Splits the options of a command into groups. Options without a group come first, without a heading. */
export function groupOptions<T>(
  command: { readonly name: string },
  options: readonly (readonly [key: string, T])[],
): readonly { readonly heading: string | undefined; readonly options: readonly (readonly [key: string, T])[] }[] {
  const headingOf = (key: string) =>
    // The zone of a balancer is no setting of an instance.
    key === 'zone' && command.name !== 'register'
      ? undefined
      : groups.find(([, members]) => members.includes(key))?.[0];
  return [undefined, ...groups.map(([heading]) => heading)].flatMap((heading) => {
    const members = options.filter(([key]) => headingOf(key) === heading);
    return members.length === 0 ? [] : [{ heading, options: members }];
  });
}
