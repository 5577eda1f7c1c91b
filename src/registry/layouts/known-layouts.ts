import type { LayoutDeclaration } from './layout.ts';

/**
 * The layouts that most trees have; to be copied into a configuration, with the prefix that fits. Each names the source file
 * of the program that writes or reads the tree, which is where to look when in doubt.
 */
export const knownLayouts = {
  /** `/backends/web/web-1` = `10.0.0.1:80`; what confd users write. */
  plain: { prefix: '/backends/', keyPattern: '{service}/{id}', codec: 'hostport' },

  /**
   * gliderlabs/registrator (etcd/etcd.go, bridge/bridge.go): `/services/web/host-1:web_1:8080` = `10.0.0.1:32768`. The path
   * is that of its `etcd://host/services`. A UDP port ends in `:udp`. registrator itself speaks etcd's API of version 2.
   */
  registrator: { prefix: '/services/', keyPattern: '{service}/{id}', codec: 'hostport', ignore: ['*/*:udp'] },

  /**
   * SkyDNS and the etcd plugin of CoreDNS (coredns plugin/etcd/msg/path.go and service.go): the domain backwards.
   * `x1.web.cluster.local` is `/skydns/local/cluster/web/x1` = `{"host":"10.0.0.1","port":80}`; a name without a label of its
   * own instance is `/skydns/local/cluster/web`. A weight counts relative to the others, and 0 means 100 (SRV in
   * plugin/backend_lookup.go). A value without a host is a text record (shouldInclude in plugin/etcd/etcd.go).
   */
  skydns: {
    prefix: '/skydns/local/cluster/',
    keyPattern: ['{service}/{id}', '{service}'],
    codec: 'json',
    fields: { address: 'host', port: 'port', weight: 'weight' },
    relativeWeights: { unset: 100, zeroIsUnset: true },
    requires: 'host',
    ignore: ['dns/**'],
  },

  /**
   * Traefik's KV provider (pkg/provider/kv/kv.go, pkg/config/kv/kv_node.go): `traefik/http/services/web/loadbalancer/servers/
   * 0/url` = `http://10.0.0.1:80/`. Its etcd client removes a slash at the beginning of a key (kvtools/etcdv3 etcd.go,
   * normalize), and names of fields are compared without regard to case. A server without a weight has 1
   * (pkg/server/service/loadbalancer/wrr/wrr.go). The fields are those of pkg/config/dynamic/http_config.go.
   */
  traefik: {
    prefix: 'traefik/',
    keyPattern: 'http/services/{service}/loadbalancer/servers/{id}/url',
    weights: ['http/services/{service}/loadbalancer/servers/{id}/weight'],
    relativeWeights: { unset: 1 },
    ignoreCase: true,
    codec: 'url',
    // A policy's matter here.
    ignore: [
      'http/routers/**',
      'http/middlewares/**',
      'http/models/**',
      'http/serverstransports/**',
      'http/services/*/loadbalancer/servers/*/preservepath',
      'http/services/*/loadbalancer/passhostheader',
      'http/services/*/loadbalancer/strategy',
      'http/services/*/loadbalancer/serverstransport',
      'http/services/*/loadbalancer/healthcheck/**',
      'http/services/*/loadbalancer/passivehealthcheck/**',
      'http/services/*/loadbalancer/sticky',
      'http/services/*/loadbalancer/sticky/**',
      'http/services/*/loadbalancer/responseforwarding/**',
      'http/services/*/middlewares/**',
      'http/services/*/highestrandomweight/**',
      'http/services/*/weighted/**',
      'http/services/*/mirroring/**',
      'http/services/*/failover/**',
      'tcp/**',
      'udp/**',
      'tls/**',
    ],
  },

  /**
   * etcd's clientv3/naming/endpoints (client/v3/naming/endpoints/endpoints_impl.go, internal/update.go): `/grpc/web/
   * 10.0.0.1:80` = `{"Op":0,"Addr":"10.0.0.1:80","Metadata":null}`. The target, and so the prefix, is the application's choice.
   * A value without an Addr carries metadata only.
   */
  grpc: {
    prefix: '/grpc/',
    keyPattern: '{service}/{id}',
    codec: 'json',
    fields: { address: 'Addr' },
    requires: 'Addr',
  },
} as const satisfies Readonly<Record<string, LayoutDeclaration>>;
