// Requests without end, from within the namespace that the containers are in: `node load.mjs PORT…`. Half of them on kept
// connections, half on new ones. Prints each answer the first time it is given, and, when its standard input ends, what became
// of them all, as JSON.
import { Agent, request } from 'node:http';

const ports = process.argv.slice(2).map(Number);
/** @type {Record<string, number>} */
const answers = {};
/** @type {string[]} */
const failures = [];
let requests = 0;
let over = false;
process.stdin.resume().on('end', () => {
  over = true;
});

/**
 * @param {number} port
 * @param {Agent | false} agent
 */
function ask(port, agent) {
  return new Promise((resolve) => {
    requests += 1;
    const fail = (/** @type {string} */ what) => {
      failures.push(`${new Date().toISOString()} ${port} ${agent === false ? 'new' : 'kept'}: ${what}`);
      resolve(undefined);
    };
    const req = request({ port, agent, headers: { host: 'web' }, timeout: 10_000 }, (res) => {
      let body = '';
      res.setEncoding('utf8');
      res.on('data', (chunk) => {
        body += chunk;
      });
      res.on('error', (error) => fail(error.message));
      res.on('end', () => {
        if (res.statusCode !== 200) return fail(`${res.statusCode} ${body}`);
        const who = body.trim();
        if (answers[who] === undefined) process.stdout.write(`${who}\n`);
        answers[who] = (answers[who] ?? 0) + 1;
        resolve(undefined);
      });
    });
    req.on('timeout', () => req.destroy(new Error('no answer within 10 s')));
    req.on('error', (error) => fail(error.message));
    req.end();
  });
}

const clients = ports.flatMap((port) => [
  { port, agent: new Agent({ keepAlive: true, maxSockets: 1 }) },
  { port, agent: /** @type {false} */ (false) },
]);
await Promise.all(
  clients.map(async ({ port, agent }) => {
    while (!over) {
      await ask(port, agent);
      // About 400 requests a second all together: enough to meet every moment of an update, and no more.
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (agent !== false) agent.destroy();
  }),
);
process.stdout.write(JSON.stringify({ requests, answers, failures: failures.slice(0, 20), failed: failures.length }));
