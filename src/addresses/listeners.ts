import { type Address, parseHost } from '../model/address.ts';

/** Where a haproxy.cfg has HAProxy listen for TCP connections. */
export function listenersIn(config: string): readonly Address[] {
  return [...config.matchAll(/^[ \t]*bind[ \t]+(\S+)/gm)].flatMap(([, list = '']) =>
    list.split(',').flatMap((one) => {
      const [, written = '', port = ''] = /^(?:ipv[46]@)?(.*):(\d{1,5})$/.exec(one) ?? [];
      if (port === '' || written.includes('@')) return [];
      // `:80` and `*:80` are all addresses.
      const host = parseHost(written === '' || written === '*' ? '0.0.0.0' : written);
      return host.ok ? [{ ...host.value, port: Number(port) }] : [];
    }),
  );
}
