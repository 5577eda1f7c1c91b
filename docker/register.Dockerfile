# pointsman without HAProxy, Node included, in one folder that needs nothing around it: for `register`, as a sidecar or
# copied into an application's image, whatever that is made of; and for `balance --haproxy-mode attached`. From the
# repository's root, after `npm run build`:
#
#   docker build -f docker/register.Dockerfile -t pointsman-register .
#
#   FROM your-application
#   COPY --from=pointsman-register /opt/pointsman /opt/pointsman
#   ENTRYPOINT ["/opt/pointsman/run", "register", "--"]
#   CMD ["/srv/your-application"]
#
# BASE: an image with Node 20.19 or later, of which only Node and the libraries that it is linked to are taken.
ARG BASE=node:24-trixie-slim
FROM ${BASE} AS node
COPY docker/pack-node /tmp/pack-node
RUN sh /tmp/pack-node /opt/pointsman

FROM scratch
COPY --from=node /opt/pointsman /opt/pointsman
COPY LICENSE docker/run /opt/pointsman/
COPY bin /opt/pointsman/bin
COPY dist /opt/pointsman/dist
COPY haproxy /opt/pointsman/haproxy
COPY templates /opt/pointsman/templates

USER 10001:10001
ENV HOME=/nonexistent
# There is no shell here, so Node itself is the entry. It has no HEALTHCHECK: register has no port, its health is the
# registration, and an orchestrator that ended an application because etcd is away would do what nobody wants.
ENTRYPOINT ["/opt/pointsman/lib/ld.so", "--library-path", "/opt/pointsman/lib", "/opt/pointsman/lib/node", "/opt/pointsman/bin/pointsman"]
CMD ["register"]

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pointsman-register" \
      org.opencontainers.image.description="Announces an application in etcd while it is well" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
