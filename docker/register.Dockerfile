# pointsman without HAProxy, Node included: for `register`, as a sidecar or copied into an application's image, and for
# `balance --haproxy-mode attached`. The target image needs a /bin/sh and no Node. From the repository's root, after `npm run
# build`:
#
#   docker build -f docker/register.Dockerfile -t pointsman-register .
#
#   FROM your-application
#   COPY --from=pointsman-register /opt/pointsman /opt/pointsman
#   ENTRYPOINT ["/opt/pointsman/bin/pointsman", "register", "--"]
#   CMD ["/srv/your-application"]
#
# NODE: an image with Node.js 24. The build copies only Node and the libraries that it is linked to.
ARG NODE=node:24-trixie-slim
FROM ${NODE} AS node
COPY docker/pack-node /tmp/pack-node
# The folder for `balance --haproxy-mode attached`: a new volume gets its owner and mode from it, and a tmpfs its mode.
RUN sh /tmp/pack-node /tmp/root && install -d -o 10001 -g 10001 -m 1777 /tmp/state/pointsman

FROM scratch
COPY --from=node /tmp/root /
COPY --from=node --chown=10001:10001 /tmp/state /var/lib
COPY LICENSE package.json /opt/pointsman/
COPY bin /opt/pointsman/bin
COPY dist /opt/pointsman/dist
COPY haproxy /opt/pointsman/haproxy
COPY templates /opt/pointsman/templates

USER 10001:10001
ENV HOME=/nonexistent
# No HEALTHCHECK: register listens on no port, and its health is the registration. An orchestrator must not stop applications
# because etcd is unavailable.
ENTRYPOINT ["/opt/pointsman/bin/pointsman"]
CMD ["register"]

ARG VERSION=unknown
ARG REVISION=unknown
ARG NODE_VERSION=unknown
LABEL org.opencontainers.image.title="pointsman-register" \
      org.opencontainers.image.description="Announces an application in etcd while it is healthy" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      node.version="${NODE_VERSION}"
