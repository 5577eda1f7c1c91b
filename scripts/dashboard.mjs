// Writes the Grafana dashboard: `node scripts/dashboard.mjs`. A test holds the committed file to what this makes, and every
// metric in it to a scrape of a real balancer.
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const file = fileURLToPath(new URL('../docker/grafana/provisioning/dashboards/pointsman.json', import.meta.url));
const datasource = { type: 'prometheus', uid: 'prometheus' };
const of = 'instance=~"$balancer"';

/** @typedef {{ title: string, unit?: string, kind?: 'timeseries' | 'stat', width?: number, targets: readonly (readonly [expr: string, legend: string])[], description?: string }} Panel */

/** @type {readonly { title: string, panels: readonly Panel[] }[]} */
const rows = [
  {
    title: 'Is it well?',
    panels: [
      { title: 'Balancers', kind: 'stat', width: 4, targets: [['sum(up{job="pointsman"})', 'up']] },
      {
        title: 'Registry followed',
        kind: 'stat',
        width: 4,
        targets: [[`min(pointsman_registry_connected{${of}})`, '']],
      },
      {
        title: 'Configuration refused',
        kind: 'stat',
        width: 4,
        targets: [[`max(pointsman_reload_last_failed{${of}})`, '']],
      },
      {
        title: 'Entries not served',
        kind: 'stat',
        width: 4,
        targets: [[`max(pointsman_rejected_entries{${of}})`, '']],
      },
      {
        title: 'Held by the guard',
        kind: 'stat',
        width: 4,
        targets: [[`sum(pointsman_guard_held_instances{${of}}) or vector(0)`, '']],
      },
      {
        title: 'Revisions behind',
        kind: 'stat',
        width: 4,
        targets: [[`max(pointsman_revision_seen{${of}} - pointsman_revision_applied{${of}})`, '']],
      },
    ],
  },
  {
    title: 'How fast are changes served?',
    panels: [
      {
        title: 'From a registration until it is served',
        unit: 's',
        description: 'p50 and p99 by balancer; the slowest balancer decides when all serve it.',
        targets: [
          [
            `histogram_quantile(0.5, sum by (instance, le) (rate(pointsman_propagation_seconds_bucket{${of}}[5m])))`,
            'p50 {{instance}}',
          ],
          [
            `histogram_quantile(0.99, sum by (instance, le) (rate(pointsman_propagation_seconds_bucket{${of}}[5m])))`,
            'p99 {{instance}}',
          ],
        ],
      },
      {
        title: 'Stages of a change, p99',
        unit: 's',
        targets: [
          [
            `histogram_quantile(0.99, sum by (stage, le) (rate(pointsman_stage_duration_seconds_bucket{${of}}[5m])))`,
            '{{stage}}',
          ],
        ],
      },
      {
        title: 'Changes',
        unit: 'ops',
        targets: [[`sum by (instance) (rate(pointsman_changes_applied_total{${of}}[5m]))`, '{{instance}}']],
      },
      {
        title: 'Until it is acknowledged, p99',
        unit: 's',
        targets: [
          [
            `histogram_quantile(0.99, sum by (instance, le) (rate(pointsman_acknowledge_duration_seconds_bucket{${of}}[5m])))`,
            '{{instance}}',
          ],
        ],
      },
    ],
  },
  {
    title: 'What is done to HAProxy?',
    panels: [
      {
        title: 'Commands',
        unit: 'ops',
        targets: [[`sum by (kind, outcome) (rate(pointsman_steps_total{${of}}[5m]))`, '{{kind}} {{outcome}}']],
      },
      {
        title: 'Reloads in five minutes',
        targets: [
          [`sum by (instance, result) (increase(pointsman_reloads_total{${of}}[5m]))`, '{{instance}} {{result}}'],
        ],
      },
      {
        title: 'Why it was reloaded',
        targets: [[`sum by (reason) (increase(pointsman_reload_reasons_total{${of}}[1h]))`, '{{reason}}']],
      },
      {
        title: 'Left behind',
        targets: [
          [`pointsman_haproxy_old_workers{${of}}`, 'old workers {{instance}}'],
          [`pointsman_lingering_servers{${of}}`, 'lingering servers {{instance}}'],
          [`increase(pointsman_drift_total{${of}}[5m])`, 'drift {{instance}}'],
        ],
      },
    ],
  },
  {
    title: 'What is served?',
    panels: [
      { title: 'Instances', targets: [[`max by (service) (pointsman_instances{${of}})`, '{{service}}']] },
      { title: 'Overrides by operators', targets: [[`max by (kind) (pointsman_overrides{${of}})`, '{{kind}}']] },
      {
        title: 'Memory',
        unit: 'bytes',
        targets: [[`process_resident_memory_bytes{job="pointsman",${of}}`, '{{instance}}']],
      },
      {
        title: 'Registry lost',
        targets: [[`increase(pointsman_registry_disconnects_total{${of}}[5m])`, '{{instance}}']],
      },
    ],
  },
  {
    title: 'Are the certificates well?',
    panels: [
      {
        title: 'Time until certificates expire',
        unit: 's',
        description: 'The ten that expire first.',
        targets: [
          [
            `bottomk(10, min by (certificate) (pointsman_certificate_expiry_timestamp_seconds{${of}}) - time())`,
            '{{certificate}}',
          ],
        ],
      },
      {
        title: 'Orders by ACME',
        description: 'Only the balancer that orders counts hosts.',
        targets: [
          [`sum by (result) (increase(pointsman_acme_orders_total{${of}}[1h]))`, '{{result}} in an hour'],
          [`sum(pointsman_acme_hosts_failing{${of}})`, 'hosts whose last order failed'],
          [`sum(pointsman_acme_hosts_without_certificate{${of}})`, 'hosts without a certificate'],
        ],
      },
    ],
  },
];

export function makeDashboard() {
  let id = 0;
  let y = 0;
  const panels = [];
  for (const { title, panels: own } of rows) {
    panels.push({ id: ++id, type: 'row', title, collapsed: false, gridPos: { x: 0, y, w: 24, h: 1 }, panels: [] });
    y += 1;
    let x = 0;
    let height = 0;
    for (const panel of own) {
      const kind = panel.kind ?? 'timeseries';
      const [w, h] = [panel.width ?? 12, kind === 'stat' ? 4 : 8];
      if (x + w > 24) [x, y] = [0, y + height];
      height = h;
      panels.push({
        id: ++id,
        type: kind,
        title: panel.title,
        ...(panel.description === undefined ? {} : { description: panel.description }),
        datasource,
        gridPos: { x, y, w, h },
        fieldConfig: { defaults: { unit: panel.unit ?? 'short', min: 0 }, overrides: [] },
        targets: panel.targets.map(([expr, legendFormat], at) => ({
          refId: String.fromCharCode(65 + at),
          datasource,
          expr,
          legendFormat,
        })),
      });
      x += w;
    }
    y += height;
  }
  const query = 'label_values(pointsman_revision_seen, instance)';
  return {
    uid: 'pointsman',
    title: 'pointsman',
    tags: ['pointsman', 'haproxy', 'etcd'],
    schemaVersion: 39,
    refresh: '10s',
    time: { from: 'now-1h', to: 'now' },
    templating: {
      list: [
        {
          name: 'balancer',
          label: 'Balancer',
          type: 'query',
          datasource,
          query,
          refresh: 2,
          multi: true,
          includeAll: true,
          current: { text: 'All', value: '$__all' },
        },
      ],
    },
    panels,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(file, `${JSON.stringify(makeDashboard(), undefined, 2)}\n`);
}
