import { expect, test } from 'vitest';
import { configWriter } from '../render/render.ts';
import { parseConfig } from './config-file.ts';

const config = `global
    stats socket /x

frontend _http
    bind 127.0.0.1:80

defaults own from _base

defaults policy-1 from _base
    balance leastconn

defaults policy-2 from _base
    balance roundrobin

backend _policy-2-rates from _base
    stick-table type string size 1k

backend api from policy-2

backend web from policy-1
    server a 10.0.0.1:80 weight 100 check
    server b:1 [::1]:80 weight 0 disabled

`;

test('a configuration that was written is read back as what it says', () => {
  const rendered = parseConfig(config, 'web/ web\nweb.*/ web\n');
  expect(configWriter()(rendered)).toBe(config);
  expect(rendered.backends.map(({ servers }) => servers.toObject()).toObject()).toEqual({
    api: {},
    web: { a: 'server a 10.0.0.1:80 weight 100 check', 'b:1': 'server b:1 [::1]:80 weight 0 disabled' },
  });
  expect([...rendered.policies.keys()]).toEqual(['policy-1', 'policy-2']);
  expect(rendered.policies.get('policy-2')).toContain('stick-table');
  expect(Object.fromEntries(rendered.routes)).toEqual({ 'web/': 'web', 'web.*/': 'web' });
});
