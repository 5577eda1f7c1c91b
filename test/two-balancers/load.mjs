// Requests without end to one address: `node load.mjs HOST PORT`. Half of the clients keep their connection, half make a new one for each
// request. Prints a line after 100 requests, and what became of all as JSON when its standard input ends.
import { Agent, request } from 'node:http';

const [host, port] = process.argv.slice(2);
/** @type {{ at: number, what: string }[]} */
const failures = [];
let requests = 0;
let over = false;
process.stdin.resume().on('end', () => {
  over = true;
});

/** @param {Agent | false} agent */
function ask(agent) {
  return new Promise((resolve) => {
    requests += 1;
    if (requests === 100) process.stdout.write('100 requests\n');
    const at = performance.now();
    const fail = (/** @type {string} */ what) => {
      failures.push({ at, what: `${agent === false ? 'new' : 'kept'}: ${what}` });
      resolve(undefined);
    };
    const req = request({ host, port, agent, headers: { host: 'web' }, timeout: 3000 }, (res) => {
      res.resume().on('error', (error) => fail(error.message));
      res.on('end', () => (res.statusCode === 200 ? resolve(undefined) : fail(String(res.statusCode))));
    });
    req.on('timeout', () => req.destroy(new Error('no answer within 3 s')));
    req.on('error', (error) => fail(error.message));
    req.end();
  });
}

const kept = () => new Agent({ keepAlive: true, maxSockets: 1 });
/** @type {readonly (Agent | false)[]} */
const clients = [kept(), kept(), false, false];
await Promise.all(
  clients.map(async (agent) => {
    while (!over) {
      await ask(agent);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (agent) agent.destroy();
  }),
);
const times = failures.map(({ at }) => at);
const failedForMs = times.length === 0 ? 0 : Math.max(...times) - Math.min(...times);
const reasons = [...new Set(failures.map(({ what }) => what))];
process.stdout.write(JSON.stringify({ requests, failed: failures.length, failedForMs, reasons }));
