import type { Catalog } from '../../catalog/catalog.ts';
import type { Refusal } from '../../fleet/acknowledgement.ts';
import { overrideKey } from '../../model/key.ts';

export const cannotPause = 'this HAProxy has no Lua (haproxy -vv), so requests do not wait';

/** The pauses that an HAProxy without Lua ignores. */
export function unpaused({ services }: Catalog): readonly Refusal[] {
  return [...services.values()]
    .filter(({ suspended }) => suspended?.kind === 'pause')
    .map(({ name }) => ({ key: overrideKey(name, '*'), reason: cannotPause }));
}
