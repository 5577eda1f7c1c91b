// The cost of one service that comes and goes, next to many others: the processor time of a balancer in this process, with a
// real HAProxy of 3.4 or later, which makes a backend without a reload.
//
//   HAPROXY_BIN=/path/to/haproxy node scripts/bench.mjs service-churn [services, 100,1000,3000,10000] [rounds, 100]
import { setTimeout as pause } from 'node:timers/promises';
import { startBalancer } from '../test/support/balancer.ts';
import { describeMachine } from './machine.ts';
import { ms, quantile, row } from './quantiles.ts';
import { haproxyBin } from './ways.ts';

const restMs = 1000;

async function measure(services: number, rounds: number): Promise<readonly string[]> {
  const balancer = await startBalancer({ limits: { services: services + 10 } });
  const { balancer: own } = balancer;
  balancer.snapshot(
    Object.fromEntries(
      Array.from({ length: services }, (_, i) => [`instances/s${i}/a`, `127.0.0.1:${1 + (i % 1000)}`]),
    ),
  );
  await own.start();
  await balancer.applied();
  const change = async (value: string | undefined) => {
    const from = process.cpuUsage();
    const began = performance.now();
    balancer.change({ 'instances/new/a': value });
    await balancer.applied();
    const served = performance.now() - began;
    const { user, system } = process.cpuUsage(from);
    return { served, cpu: (user + system) / 1000 };
  };
  for (let i = 0; i < 10; i += 1) await change(i % 2 === 0 ? '127.0.0.1:1' : undefined);
  await pause(restMs);
  const came: { served: number; cpu: number }[] = [];
  const left: { served: number; cpu: number }[] = [];
  const reloads = () => balancer.lines.filter((line) => line.includes('"reloaded"')).length;
  const before = reloads();
  const whole = process.cpuUsage();
  for (let i = 0; i < rounds; i += 1) {
    came.push(await change('127.0.0.1:1'));
    left.push(await change(undefined));
  }
  await pause(restMs);
  const { user, system } = process.cpuUsage(whole);
  const p50 = (some: readonly { served: number; cpu: number }[], of: 'served' | 'cpu') =>
    ms(
      quantile(
        some.map((one) => one[of]),
        0.5,
      ),
    );
  const cells = [
    String(services),
    p50(came, 'cpu'),
    p50(left, 'cpu'),
    ms((user + system) / 1000 / (2 * rounds)),
    p50(came, 'served'),
    p50(left, 'served'),
    String(reloads() - before),
  ];
  await balancer.stop();
  return cells;
}

const [sizes = '100,1000,3000,10000', rounds = '100'] = process.argv.slice(2);
console.log('# One service beside many\n');
console.log(`${await describeMachine(haproxyBin)}. ${rounds} rounds.\n`);
console.log(
  row(
    'services',
    'CPU until it has come, ms',
    'until it has left, ms',
    'all CPU for each change, files too, ms',
    'come after, ms',
    'left after, ms',
    'reloads',
  ),
);
console.log(row('---', '---', '---', '---', '---', '---', '---'));
for (const size of sizes.split(',').map(Number)) console.log(row(...(await measure(size, Number(rounds)))));
