# pointsman without HAProxy, Node included: for `register`, as a sidecar or copied into an application's image, and for
# `balance --haproxy-mode attached`. What it is copied into needs a /bin/sh and no Node. From the repository's root, after `npm run
# build`:
#
#   docker build -f docker/register.Dockerfile -t pointsman-register .
#
#   FROM your-application
#   COPY --from=pointsman-register /opt/pointsman /opt/pointsman
#   ENTRYPOINT ["/opt/pointsman/bin/pointsman", "register", "--"]
#   CMD ["/srv/your-application"]
#
# BASE: an image with Node 24 (20.19 or later), of which only Node and the libraries that it is linked to are taken.
ARG BASE=node:24-trixie-slim
FROM ${BASE} AS node
COPY docker/pack-node /tmp/pack-node
RUN sh /tmp/pack-node /tmp/root

FROM scratch
COPY --from=node /tmp/root /
COPY LICENSE package.json /opt/pointsman/
COPY bin /opt/pointsman/bin
COPY dist /opt/pointsman/dist
COPY haproxy /opt/pointsman/haproxy
COPY templates /opt/pointsman/templates

USER 10001:10001
ENV HOME=/nonexistent
# No HEALTHCHECK: register listens nowhere, its health is the registration, and an orchestrator that ended applications
# because etcd is away would do the opposite of what is wanted.
ENTRYPOINT ["/opt/pointsman/bin/pointsman"]
CMD ["register"]

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pointsman-register" \
      org.opencontainers.image.description="Announces an application in etcd while it is well" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
