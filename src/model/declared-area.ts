/** The areas of the registry that files can declare, in the order in which they are written. */
export const declaredAreas = ['services', 'claims', 'instances', 'overrides', 'keys'] as const;
/** The areas that pointsman itself writes. Certificates and orders are made again, and private keys are no declarations. */
export const ownAreas: readonly string[] = [
  ...['balancers', 'releases', 'waits', 'labels', 'sets'],
  ...['certificates', 'acme', 'challenges'],
];
export type DeclaredArea = (typeof declaredAreas)[number];

/** How many names below the area make a key: `services/<service>`, `instances/<service>/<instance>`. */
export const levelsOf: Readonly<Record<Exclude<DeclaredArea, 'keys'>, 1 | 2>> = {
  services: 1,
  claims: 1,
  instances: 2,
  overrides: 2,
};

export const isDeclaredArea = (name: string): name is DeclaredArea => declaredAreas.some((area) => area === name);
