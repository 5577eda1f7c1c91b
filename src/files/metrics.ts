import { Counter, Gauge, type Registry } from 'prom-client';

export type FilesMetrics = ReturnType<typeof createFilesMetrics>;

/** The metrics of `pointsman files`: by the names that a balancer has them under. */
export function createFilesMetrics(registry: Registry) {
  const registers = [registry];
  const gauge = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Gauge({ name: `pointsman_${name}`, help, labelNames, registers });
  return {
    registryConnected: gauge('registry_connected', '1 while the registry is being followed.'),
    revisionSeen: gauge('revision_seen', 'The newest revision that the registry delivered.'),
    fileResults: new Counter({
      name: 'pointsman_file_results_total',
      help: 'What came of making a file of `templates`, and of its reload.',
      labelNames: ['dest', 'result'],
      registers,
    }),
    held: gauge('held_entries', 'Entries that the registry does not have any more and files are made of all the same.'),
    fileFailed: gauge('file_failed', '1 while a file of `templates` is not as it should be, or not in use.', ['dest']),
  };
}
