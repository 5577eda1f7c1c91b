// HEALTHCHECK of the image: ends with 0 when HAProxy serves, be it an older state: an
// orchestrator ends a container that fails it, which helps against nothing that /readyz tells besides. It asks where POINTSMAN_ADMIN says that pointsman listens, so
// that is how to move it in a container (not by --admin).
import { get } from 'node:http';

const admin = process.env.POINTSMAN_ADMIN || '127.0.0.1:8404';
const colon = admin.lastIndexOf(':');
const host = admin.slice(0, colon).replace(/^\[|\]$/g, '');
const here = { '0.0.0.0': '127.0.0.1', '::': '::1' };

const request = get(
  { host: here[host] ?? host, port: admin.slice(colon + 1), path: '/serving', timeout: 2500 },
  (response) => {
    response.resume();
    process.exit(response.statusCode === 200 ? 0 : 1);
  },
);
request.on('timeout', () => process.exit(1));
request.on('error', () => process.exit(1));
