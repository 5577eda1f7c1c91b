import type { LayoutDeclaration } from './layout.ts';

/** The layouts that most trees have; to be copied into a configuration, with the prefix that fits. */
export const knownLayouts = {
  /** `/backends/web/web-1` = `10.0.0.1:80`; what confd users write. */
  plain: { prefix: '/backends/', keyPattern: '{service}/{id}', codec: 'hostport' },

  /** gliderlabs/registrator: `/services/web/host-1:web_1:8080` = `10.0.0.1:32768`; UDP ports end in `:udp`. */
  registrator: { prefix: '/services/', keyPattern: '{service}/{id}', codec: 'hostport', ignore: ['*/*:udp'] },

  /**
   * SkyDNS and the etcd plugin of CoreDNS: the domain backwards. `x1.web.cluster.local` is `/skydns/local/cluster/web/x1`
   * = `{"host":"10.0.0.1","port":80}`; a name without a label of its own instance is `/skydns/local/cluster/web`.
   */
  skydns: {
    prefix: '/skydns/local/cluster/',
    keyPattern: ['{service}/{id}', '{service}'],
    codec: 'json',
    fields: { address: 'host', port: 'port' },
    ignore: ['dns/**'],
  },

  /** Traefik's KV provider: `/traefik/http/services/web/loadbalancer/servers/0/url` = `http://10.0.0.1:80/`. */
  traefik: {
    prefix: '/traefik/',
    keyPattern: 'http/services/{service}/loadbalancer/servers/{id}/url',
    codec: 'url',
    // A policy's matter here.
    ignore: [
      'http/routers/**',
      'http/middlewares/**',
      'http/serverstransports/**',
      'http/services/*/loadbalancer/servers/*/weight',
      'http/services/*/loadbalancer/servers/*/preservepath',
      'http/services/*/loadbalancer/passhostheader',
      'http/services/*/loadbalancer/serverstransport',
      'http/services/*/loadbalancer/healthcheck/**',
      'http/services/*/loadbalancer/sticky/**',
      'http/services/*/loadbalancer/responseforwarding/**',
      'http/services/*/weighted/**',
      'http/services/*/mirroring/**',
      'http/services/*/failover/**',
      'tcp/**',
      'udp/**',
      'tls/**',
    ],
  },

  /** etcd's clientv3/naming/endpoints: `/grpc/web/10.0.0.1:80` = `{"Op":0,"Addr":"10.0.0.1:80","Metadata":null}`. */
  grpc: { prefix: '/grpc/', keyPattern: '{service}/{id}', codec: 'json', fields: { address: 'Addr' } },
} as const satisfies Readonly<Record<string, LayoutDeclaration>>;
