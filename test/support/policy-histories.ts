import fc from 'fast-check';

/** Undefined: the service is gone, with its instance. */
export type Version = object | undefined;
const route = fc.constantFrom(
  { hosts: ['a.example'] },
  { hosts: ['a.example'], paths: ['/x'], strip: true },
  { hosts: ['a.example'], paths: ['/x/y'] },
  { hosts: ['b.example'], priority: 1 },
  { hosts: ['*.example'], paths: ['/x'], priority: 2 },
  { hosts: ['*'], paths: ['/x/y'], strip: true },
  { hosts: ['*'] },
);
const rules = fc.constantFrom({}, { access: { allow: ['10.0.0.0/8'] } }, { maxconn: 5 });
const version: fc.Arbitrary<Version> = fc.oneof(
  { weight: 1, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constant({ mode: 'tcp', port: 4000 }) },
  {
    weight: 8,
    arbitrary: fc
      .tuple(
        fc.uniqueArray(route, { minLength: 1, maxLength: 3 }),
        rules,
        fc.constantFrom({}, {}, {}, { maintenance: true }),
      )
      .map((parts) => Object.assign({}, ...parts.slice(1), { routes: parts[0] })),
  },
);
export const names = ['web', 'api'] as const;
export type Round = {
  readonly changes: Readonly<Record<string, Version>>;
  /** The result of the reload that the round may need. */
  readonly end: 'reload' | 'wait' | 'obstructed' | 'refused';
};
export const history: fc.Arbitrary<readonly Round[]> = fc.array(
  fc.record({
    changes: fc.dictionary(fc.constantFrom(...names), version, { minKeys: 1 }),
    end: fc.constantFrom('reload', 'wait', 'obstructed', 'refused'),
  }),
  { minLength: 1, maxLength: 6 },
);
export const mostRouteCommands = fc.constantFrom(10_000, 10_000, 2, 0);
export const slices = fc.constantFrom(10_000, 1, 2, 3, 5);
export const requests = ['a.example', 'b.example', 'c.example', 'web', 'else'].flatMap((host) =>
  ['', '/x', '/x/y'].map((path) => ({ host, path })),
);
