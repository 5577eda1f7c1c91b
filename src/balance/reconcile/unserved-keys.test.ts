import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { nothingRendered, type Rendered } from '../../render/rendered.ts';
import { unservedKeys } from './unserved-keys.ts';

/** One service `web`, with this text around these server lines. */
function rendered(policy: string, ...lines: readonly string[]): Rendered {
  const name = 'web' as ServiceName;
  const servers = PersistentMap(lines.map((line) => [line.split(' ')[1] as InstanceId, line]));
  const section = { before: `backend web from ${policy}\n`, indent: '    ', after: '' };
  return { ...nothingRendered, backends: PersistentMap([[name, { name, section, servers }]]) };
}
const a = 'server a 10.0.0.1:80';

test.each([
  ['nothing', rendered('p', a), rendered('p', a), []],
  [
    'an instance that is new, changed or gone',
    rendered('p', a, 'server b 10.0.0.2:80'),
    rendered('p', `${a}80`, 'server c 10.0.0.3:80'),
    ['instances/web/a', 'instances/web/b', 'instances/web/c'],
  ],
  ['a policy that waits for a reload', rendered('q', a), rendered('p', a), ['services/web']],
  ['all of a service that HAProxy does not have', rendered('p', a), nothingRendered, ['instances/web/*']],
])('what is not served as asked is named: %s', (_, desired, served, keys) => {
  expect(unservedKeys(desired, served, () => 'why').map(({ key }) => key)).toEqual(keys);
});
