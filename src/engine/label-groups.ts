/** What the labels of a container say about one service. */
export type LabelGroup = {
  /** `web` of `pointsman.web.port`; undefined for labels such as `pointsman.port`. */
  readonly name: string | undefined;
  /** The name of the service, which is not checked yet. */
  readonly service: string;
  /** By field: `port`, `policy`, `meta.team`. */
  readonly fields: ReadonlyMap<string, string>;
};

const prefix = 'pointsman.';
/** Compose and podman-compose put the name of the service here, Swarm there. */
const orchestrators = ['com.docker.compose.service', 'com.docker.swarm.service.name'];

/** The fields of a service that are no settings of its instance. */
export const serviceFields = ['hosts', 'policy'] as const;
/** The fields by which the agent finds the address of an instance. */
export const addressFields = ['port', 'network'] as const;
/** The labels that hold for all services of a container. */
const shared = [
  ...['network', 'net', 'weight', 'version', 'zone', 'role', 'unhealthy'],
  ...['check-interval', 'check-timeout', 'check-rise', 'check-fall'],
];
export const labelFields: readonly string[] = [
  ...['service', 'id', 'address', 'check'],
  ...addressFields,
  ...serviceFields,
  ...shared.filter((name) => name !== 'network'),
];

const isField = (text: string): boolean => labelFields.includes(text) || /^meta\../.test(text);
const isShared = (field: string): boolean => shared.includes(field) || field.startsWith('meta.');

/** Whether a container has labels for pointsman. */
export const isLabelled = (labels: Readonly<Record<string, string>>): boolean =>
  Object.keys(labels).some((name) => name.startsWith(prefix));

/**
 * Sorts the labels of a container by service. Labels without a name belong to the service of `pointsman.service`; where it is empty or
 * `true`, that is the service of Compose or Swarm. `pointsman.<name>.port` belongs to the service `<name>`, unless
 * `pointsman.<name>.service` names another one.
 */
export function labelGroups(labels: Readonly<Record<string, string>>): readonly LabelGroup[] {
  const own = new Map<string, string>();
  const named = new Map<string, Map<string, string>>();
  for (const { name, field, value } of parts(labels)) {
    if (field === undefined) continue;
    const fields = name === undefined ? own : (named.get(name) ?? new Map<string, string>());
    fields.set(field, value);
    if (name !== undefined) named.set(name, fields);
  }
  const common = [...own].filter(([field]) => isShared(field));
  const groups = [...named].map(([name, fields]) => {
    return { name, service: fields.get('service') ?? name, fields: new Map([...common, ...fields]) };
  });
  const whole = own.get('service');
  if (whole === undefined) return groups;
  const orchestrated = orchestrators.map((label) => labels[label]).find((service) => service !== undefined) ?? '';
  const service = whole === '' || whole === 'true' ? orchestrated : whole;
  return [{ name: undefined, service, fields: own }, ...groups];
}

/** The labels for pointsman that are none: most often a name with a typing mistake. */
export const unknownLabels = (labels: Readonly<Record<string, string>>): readonly string[] =>
  parts(labels).flatMap(({ label, field }) => (field === undefined ? [label] : []));

type Part = {
  readonly label: string;
  readonly value: string;
  readonly name: string | undefined;
  /** Undefined: there is no such field. */
  readonly field: string | undefined;
};

function parts(labels: Readonly<Record<string, string>>): readonly Part[] {
  return Object.entries(labels).flatMap(([label, value]): readonly Part[] => {
    if (!label.startsWith(prefix)) return [];
    const rest = label.slice(prefix.length);
    if (isField(rest)) return [{ label, value, name: undefined, field: rest }];
    const dot = rest.indexOf('.');
    const [name, field] = [rest.slice(0, dot), rest.slice(dot + 1)];
    return [{ label, value, name, field: dot > 0 && isField(field) ? field : undefined }];
  });
}
