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
/** Compose, and podman-compose, put the name of the service here. */
const composeService = 'com.docker.compose.service';

const fieldNames = [
  ...['service', 'port', 'network', 'check', 'weight', 'version', 'zone', 'role', 'id'],
  ...['hosts', 'policy'],
] as const;

const isField = (text: string): boolean => fieldNames.some((name) => name === text) || text.startsWith('meta.');

/**
 * Sorts the labels of a container by service. Labels without a name belong to the service of `pointsman.service`; where it is empty or
 * `true`, that is the service of Compose. `pointsman.<name>.port` belongs to the service `<name>`, unless `pointsman.<name>.service`
 * names another one.
 */
export function labelGroups(labels: Readonly<Record<string, string>>): readonly LabelGroup[] {
  const own = new Map<string, string>();
  const named = new Map<string, Map<string, string>>();
  for (const [label, value] of Object.entries(labels)) {
    if (!label.startsWith(prefix)) continue;
    const rest = label.slice(prefix.length);
    if (isField(rest)) {
      own.set(rest, value);
      continue;
    }
    const dot = rest.indexOf('.');
    const [name, field] = [rest.slice(0, dot), rest.slice(dot + 1)];
    if (dot < 1 || !isField(field)) continue;
    const fields = named.get(name) ?? new Map<string, string>();
    named.set(name, fields.set(field, value));
  }
  const whole = own.get('service');
  const groups = [...named].map(([name, fields]) => ({ name, service: fields.get('service') ?? name, fields }));
  if (whole === undefined) return groups;
  const service = whole === '' || whole === 'true' ? (labels[composeService] ?? '') : whole;
  return [{ name: undefined, service, fields: own }, ...groups];
}
