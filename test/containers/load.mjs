// Requests without end, from within the namespace that the containers are in: `node load.mjs PORT…`, or `HOST:PORT…`. Half of
// them on kept connections, half on new ones; each new one goes to any address that HOST has at that moment. Prints each answer
// the first time it is given, each failure, and, when its standard input ends, what became of them all, as JSON.
import { resolve4 } from 'node:dns/promises';
import { Agent, request } from 'node:http';

// HOST: the name of the service that is asked for, instead of web.
const targets = process.argv.slice(2).map((text) => {
  const [port, host] = text.split(':').reverse();
  return { port: Number(port), host };
});
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
 * The address for a new connection. Only one is given, or Node would try the others when it is refused.
 * @type {import('node:net').LookupFunction}
 */
const lookup = (host, _, done) => {
  resolve4(host).then(
    (all) => done(null, [{ address: all[Math.floor(Math.random() * all.length)] ?? '', family: 4 }]),
    (error) => done(error, []),
  );
};

/**
 * @param {{ port: number, host: string | undefined }} target
 * @param {Agent | false} agent
 */
function ask({ port, host = '127.0.0.1' }, agent) {
  return new Promise((resolve) => {
    requests += 1;
    const fail = (/** @type {string} */ what) => {
      const failure = `${new Date().toISOString()} ${host}:${port} ${agent === false ? 'new' : 'kept'}: ${what}`;
      failures.push(failure);
      process.stdout.write(`failed: ${failure}\n`);
      resolve(undefined);
    };
    const req = request(
      { host, port, agent, lookup, headers: { host: process.env['HOST'] ?? 'web' }, timeout: 10_000 },
      (res) => {
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
      },
    );
    req.on('timeout', () => req.destroy(new Error('no answer within 10 s')));
    req.on('error', (error) => fail(error.message));
    req.end();
  });
}

const clients = targets.flatMap((target) => [
  { target, agent: new Agent({ keepAlive: true, maxSockets: 1 }) },
  { target, agent: /** @type {false} */ (false) },
]);
await Promise.all(
  clients.map(async ({ target, agent }) => {
    while (!over) {
      await ask(target, agent);
      // About 400 requests a second all together: enough to meet every moment of an update, and no more.
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (agent !== false) agent.destroy();
  }),
);
process.stdout.write(JSON.stringify({ requests, answers, failures: failures.slice(0, 20), failed: failures.length }));
