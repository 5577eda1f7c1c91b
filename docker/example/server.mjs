// The application of the examples: answers with its host name and version. It ends on SIGTERM, after its open requests.
import { createServer } from 'node:http';
import { hostname } from 'node:os';

const { PORT = '8080', VERSION = '1' } = process.env;

const server = createServer((request, response) => {
  if (request.url === '/health') return response.end('well\n');
  response.end(`${hostname()} version ${VERSION}\n`);
});
server.listen(Number(PORT));
process.once('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
