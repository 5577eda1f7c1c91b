# etcd for the examples here. In production, use the image of your own etcd. BASE: a Debian image; if it has etcd, that one is used.
ARG BASE=debian:trixie-slim
FROM ${BASE}
RUN command -v etcd >/dev/null || { \
      apt-get update && \
      DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends etcd-server etcd-client && \
      rm -rf /var/lib/apt/lists/*; \
    }
RUN install -d -o 10002 -g 10002 -m 0700 /var/lib/etcd
USER 10002:10002
VOLUME /var/lib/etcd
EXPOSE 2379 2380
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["etcdctl", "endpoint", "health"]
ENTRYPOINT ["etcd"]
