import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const stageBuckets = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export type MakeMetric = ReturnType<typeof makeMetric>;

/** Makes metrics named `pointsman_<name>`. */
export const makeMetric = (registry: Registry) => {
  const registers = [registry];
  return {
    counter: <L extends string>(name: string, help: string, labelNames: L[] = []) =>
      new Counter({ name: `pointsman_${name}`, help, labelNames, registers }),
    gauge: <L extends string>(name: string, help: string, labelNames: L[] = []) =>
      new Gauge({ name: `pointsman_${name}`, help, labelNames, registers }),
    histogram: <L extends string>(name: string, help: string, labelNames: L[] = []) =>
      new Histogram({ name: `pointsman_${name}`, help, labelNames, buckets: stageBuckets, registers }),
  };
};
