import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { Registry } from 'prom-client';
import * as v from 'valibot';
import { expect, onTestFinished, test } from 'vitest';
import { makeDashboard } from '../scripts/dashboard.mjs';
import { applyMetrics } from '../src/apply/apply-metrics.ts';
import { makeMetric } from '../src/metrics/make-metric.ts';
import { containerMetrics } from '../src/register/containers/container-metrics.ts';
import { registerMetrics } from '../src/register/register-metrics.ts';
import { startApps } from './support/app.ts';
import { freePorts } from './support/ports.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

const root = join(import.meta.dirname, '..');
const rules = join(root, 'docker/prometheus/rules');
const read = (path: string) => readFile(join(root, path), 'utf8');
const metricsIn = (text: string) =>
  new Set([...text.matchAll(/\bpointsman_[a-z0-9_]+/g)].map(([name]) => name.replace(/_(bucket|sum|count)$/, '')));

const queried = v.object({
  data: v.object({ result: v.array(v.object({ value: v.tuple([v.number(), v.string()]) })) }),
});

test('the rules are good, and ring on series as they should', async () => {
  await execa('promtool', ['check', 'rules', 'recording.yml', 'alerts.yml'], { cwd: rules });
  await execa('promtool', ['test', 'rules', 'alerts.test.yml'], { cwd: rules });
});

test('each alert has its section in the runbook', async () => {
  const alerts = [
    ...(await readFile(join(rules, 'alerts.yml'), 'utf8')).matchAll(/alert: (\w+)[\s\S]*?runbook: (\S+)/g),
  ];
  const runbook = await read('docs/runbook.md');
  expect(alerts.length).toBeGreaterThan(5);
  for (const [, name = '', link] of alerts) {
    expect(link).toBe(`docs/runbook.md#${name.toLowerCase()}`);
    expect(runbook).toContain(`\n## ${name}\n`);
  }
});

test('the dashboard is what the script makes', async () => {
  const committed = JSON.parse(await read('docker/grafana/provisioning/dashboards/pointsman.json'));
  expect(committed).toEqual(JSON.parse(JSON.stringify(makeDashboard())));
});

test('a real Prometheus scrapes a real balancer and its HAProxy, and finds whatever rules, dashboard and docs name', {
  timeout: 90_000,
}, async () => {
  const scenario = await startScenario('folder');
  const [prometheusPort = 0, exporter = 0] = await freePorts(2);
  const [a = ''] = await startApps('a');
  await scenario.balancer('--haproxy-metrics', `127.0.0.1:${exporter}`).logged('serving');
  await scenario.register('a', a).logged('announced');
  await scenario.serves('web', ['a']);

  const exposition = (await scenario.askAdmin('/metrics')).body;
  const linted = await execa('promtool', ['check', 'metrics'], { input: exposition, reject: false });
  expect(linted.stderr.split('\n').filter((line) => line.startsWith('pointsman_'))).toEqual([]);
  const exists = metricsIn([...exposition.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name).join(' '));
  const ofOthers = new Registry();
  for (const make of [applyMetrics, registerMetrics, containerMetrics]) make(makeMetric(ofOthers));
  for (const { name } of await ofOthers.getMetricsAsJSON()) exists.add(name);
  for (const path of [
    'docker/prometheus/rules/recording.yml',
    'docker/prometheus/rules/alerts.yml',
    'docker/grafana/provisioning/dashboards/pointsman.json',
    'docs/metrics.md',
  ]) {
    expect(
      [...metricsIn(await read(path))].filter((name) => !exists.has(name)),
      path,
    ).toEqual([]);
  }
  const documented = metricsIn(await read('docs/metrics.md'));
  expect([...exists].filter((name) => !documented.has(name))).toEqual([]);

  const config = join(scenario.dir, 'prometheus.yml');
  const jobs = [
    { job: 'pointsman', target: `127.0.0.1:${scenario.admin}` },
    { job: 'haproxy', target: `127.0.0.1:${exporter}` },
  ].map(({ job, target }) => `  - { job_name: ${job}, static_configs: [{ targets: ["${target}"] }] }\n`);
  await writeFile(
    config,
    `global: { scrape_interval: 1s, evaluation_interval: 1s }\nrule_files: [${rules}/recording.yml, ${rules}/alerts.yml]\nscrape_configs:\n${jobs.join('')}`,
  );
  await execa('promtool', ['check', 'config', config]);
  const listen = `127.0.0.1:${prometheusPort}`;
  const data = join(scenario.dir, 'prometheus');
  const prometheus = execa(
    'prometheus',
    [`--config.file=${config}`, `--storage.tsdb.path=${data}`, `--web.listen-address=${listen}`, '--log.level=error'],
    { reject: false, stdin: 'ignore' },
  );
  onTestFinished(async () => {
    prometheus.kill('SIGTERM');
    await prometheus;
  });
  const ask = async (query: string) => {
    const answer = await fetch(`http://${listen}/api/v1/query?query=${encodeURIComponent(query)}`);
    return v.parse(queried, await answer.json()).data.result;
  };
  const value = (query: string) => async () => (await ask(query))[0]?.value[1];
  await until('both are scraped', async () => (await value('sum(up)')()) === '2', { deadlineMs: 30_000 });
  await until(
    'the registration was measured',
    async () => (await value('pointsman_propagation_seconds_count')()) === '1',
  );
  await until(
    'its requests were counted by HAProxy',
    async () => Number(await value('haproxy_backend_http_responses_total{proxy="web",code="2xx"}')()) > 0,
  );
  await until('the rules are recorded', async () => (await value('pointsman:lag:revisions')()) === '0');
  expect(await value('pointsman_leases_granted_total')()).toBe('1');
  expect(await ask('ALERTS{alertstate="firing"}')).toEqual([]);
});
