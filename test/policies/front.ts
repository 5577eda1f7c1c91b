import { createHash } from 'node:crypto';
import { connect } from 'node:http2';
import { afterAll } from 'vitest';
import { startApp } from '../support/app.ts';
import { type Asked, startEcho } from '../support/echo.ts';
import { askRaw } from '../support/raw-request.ts';

const closing: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));

/** An application that is closed after the tests of the file. */
export function closeAtEnd<App extends { readonly close: () => Promise<void> }>(app: App): App {
  closing.push(app.close);
  return app;
}

/** Services that tell what they were asked, by hosts and paths of every kind. */
export async function services() {
  const apps = await Promise.all(['site', 'admin', 'api', 'wild', 'guarded'].map(startEcho));
  const upgrading = await startApp('upgrading', (_, response) => response.end('plain'));
  upgrading.server.on('upgrade', ({ headers }, socket) => {
    const key = `${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = createHash('sha1').update(key).digest('base64');
    const lines = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', `Upgrade: ${headers.upgrade}`];
    socket.end([...lines, `Sec-WebSocket-Accept: ${accept}`, '', 'hello'].join('\r\n'));
  });
  closing.push(upgrading.close, ...apps.map(({ close }) => close));
  const at = (name: string) => ({ a: apps.find((app) => app.name === name)?.address ?? '' });
  return {
    site: { policy: { hosts: ['shop.example.com', '*'] }, instances: at('site') },
    admin: { policy: { hosts: ['shop.example.com'], paths: ['/admin'] }, instances: at('admin') },
    api: {
      policy: { hosts: ['shop.example.com'], paths: ['/api', '/old//v1'], strip: true },
      instances: at('api'),
    },
    wild: { policy: { hosts: ['*.wild.example'] }, instances: at('wild') },
    guarded: { policy: { access: { deny: ['127.0.0.9'] } }, instances: at('guarded') },
    upgrading: { instances: { a: upgrading.address } },
    owning: { policy: { headers: { request: { set: { 'X-Own': '1' } } } }, instances: at('site') },
  };
}

/** Which application gets a request over HTTP/1.1, and with which path. A number is the status that HAProxy answers. */
export async function whoGets(port: number, target: string, host = 'shop.example.com') {
  const { status, body } = await askRaw(port, target, [`Host: ${host}`]);
  if (status !== 200) return { name: status, url: '' };
  const { name, url } = JSON.parse(body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1)) as Asked;
  return { name, url };
}

/** The same over HTTP/2, where the client chooses the pseudo-headers. */
export function whoGetsH2(
  port: number,
  path: string,
  authority = 'shop.example.com',
): Promise<{ name: string | number; url: string }> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://127.0.0.1:${port}`);
    session.on('error', reject);
    const stream = session.request({ ':path': path, ':authority': authority });
    let status = 0;
    let body = '';
    stream.on('response', (headers) => {
      status = headers[':status'] ?? 0;
    });
    stream.on('data', (part: Buffer) => {
      body += part.toString();
    });
    stream.on('error', (error) => {
      session.destroy();
      // HAProxy may reset the stream of a malformed request instead of answering it.
      if ('code' in error && error.code === 'ERR_HTTP2_STREAM_ERROR') resolve({ name: 400, url: '' });
      else reject(error);
    });
    stream.on('end', () => {
      session.close();
      resolve(status === 200 ? (JSON.parse(body) as Asked) : { name: status, url: '' });
    });
    stream.setTimeout(10_000, () => stream.destroy(new Error('no answer within 10 s')));
  });
}
