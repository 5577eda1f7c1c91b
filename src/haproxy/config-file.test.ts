import { expect, test } from 'vitest';
import { configWriter } from '../render/render.ts';
import { parseConfig } from './config-file.ts';

const config = `global
    stats socket /x

frontend _http
    bind 127.0.0.1:80

backend api
    balance leastconn

backend web
    balance leastconn
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
  expect(rendered.routes.toObject()).toEqual({ 'web/': 'web', 'web.*/': 'web' });
});
