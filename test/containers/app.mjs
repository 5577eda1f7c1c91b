// The application of the tests with container labels: answers with its host name and version, keeps requests to /slow open for a second, or for the ms of /slow/MS, and on
// SIGTERM ends after its open requests, as an application does that knows nothing of pointsman. LINGER: it goes on for so many ms
// after SIGTERM and then prints how long requests still came, so that a test can tell when it left the balancers.
// ABRUPT: it ends at once.
import { createServer } from 'node:http';
import { hostname } from 'node:os';

const { PORT = '8080', VERSION = '1', LINGER = '0', ABRUPT = '' } = process.env;
let asked = 0;
/** @type {number | undefined} */
let ending;
let last = 0;

const server = createServer((request, response) => {
  if (request.url === '/health') {
    response.end('well\n');
    return;
  }
  asked += 1;
  if (asked === 1) process.stdout.write(`first ${Date.now()}\n`);
  if (ending !== undefined) last = performance.now() - ending;
  const answer = () => response.end(`${hostname()} version ${VERSION}\n`);
  const slow = /^\/slow(?:\/(\d+))?$/.exec(request.url ?? '');
  if (slow !== null) setTimeout(answer, Number(slow[1] ?? 1000));
  else answer();
});
server.listen(Number(PORT), () => process.stdout.write(`listening ${Date.now()}\n`));
process.once('SIGTERM', () => {
  if (ABRUPT !== '') process.exit(0);
  ending = performance.now();
  process.stdout.write(`term ${Date.now()}\n`);
  setTimeout(() => {
    if (LINGER !== '0') process.stdout.write(`last ${last.toFixed(1)}\n`);
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  }, Number(LINGER));
});
