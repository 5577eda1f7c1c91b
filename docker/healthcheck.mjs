// HEALTHCHECK of the image: ends with 0 when HAProxy serves, even if it serves an older state. An orchestrator stops an unhealthy
// container, which does not help against the other faults that /readyz reports. The check asks pointsman at the address in
// POINTSMAN_ADMIN. In a container with HAProxy alone, where nothing listens there, it asks HAProxy's master whether the worker answers.
import { get } from 'node:http';
import { createConnection } from 'node:net';

// Less than the 30 s of HEALTHCHECK, which include the start of this process.
const timeoutMs = 20_000;

/** Whether pointsman says that HAProxy serves; undefined if no pointsman listens in this container. */
function askPointsman() {
  const admin = process.env.POINTSMAN_ADMIN || '127.0.0.1:8404';
  const colon = admin.lastIndexOf(':');
  const host = admin.slice(0, colon).replace(/^\[|\]$/g, '');
  const here = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  return new Promise((resolve) => {
    const request = get(
      { host: here[host] ?? host, port: admin.slice(colon + 1), path: '/serving', timeout: timeoutMs },
      (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      },
    );
    request.on('timeout', () => resolve(false));
    request.on('error', ({ code }) => resolve(code === 'ECONNREFUSED' ? undefined : false));
  });
}

/** Whether HAProxy's newest worker answers. */
function askHaproxy() {
  const path = `${process.env.POINTSMAN_DIR || '/var/lib/pointsman'}/run/master.sock`;
  return new Promise((resolve) => {
    let answer = '';
    const socket = createConnection(path, () => socket.end('@1 show info\n'));
    socket.setEncoding('utf8').setTimeout(timeoutMs, () => socket.destroy());
    socket.on('data', (text) => {
      answer += text;
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(/^Stopping: 0$/m.test(answer)));
  });
}

const serves = (await askPointsman()) ?? (await askHaproxy());
process.exit(serves ? 0 : 1);
