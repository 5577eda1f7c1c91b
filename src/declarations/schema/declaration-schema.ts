import { claimSchema } from '../../model/claim.ts';
import { instanceRoles, instanceStates, mostMeta } from '../../model/instance.ts';
import { overrideSchema } from '../../model/override.ts';
import { policySchema } from '../../model/policy.ts';
import type { FieldTexts } from './field-texts.ts';
import { jsonSchemaOf } from './from-valibot.ts';
import type { FieldText, JsonSchema } from './json-schema.ts';

/** The pages of the documentation that describe the fields. */
export type SchemaTexts = { readonly policies: FieldTexts; readonly registry: FieldTexts };

export type DeclarationSchema = {
  readonly schema: JsonSchema;
  /** A line for each field without a description, with the page that should have it. */
  readonly missing: readonly string[];
};

/** The JSON schema of a declaration file, made from the schemas of the parsers and the texts of the documentation. */
export function declarationSchema({ policies, registry }: SchemaTexts): DeclarationSchema {
  const missing: string[] = [];
  const part = (
    schema: unknown,
    area: string,
    page: string,
    find: (path: readonly string[]) => FieldText | undefined,
  ) => {
    const without: string[] = [];
    const made = jsonSchemaOf(schema, find, without);
    for (const path of new Set(without)) {
      missing.push(
        `${area}: the field ${path} has no row in a table with the header "field" below its heading in ${page}`,
      );
    }
    return made;
  };
  const policy = part(policySchema, 'policy', 'docs/policies.md', (path) => policies.find(path));
  const claim = part(claimSchema, 'claim', 'docs/policies.md', (path) => policies.find(['Claims', ...path]));
  const override = part(overrideSchema, 'override', 'docs/registry.md', (path) =>
    registry.find(['overrides/<service>/<instance>', ...path]),
  );
  const instance = instanceSchema((field) => {
    const text = registry.find(['instances/<service>/<instance>', field]);
    if (text === undefined) missing.push(`instance: the field ${field} has no row in docs/registry.md`);
    return text;
  });
  return { schema: treeOf({ policy, claim, override, instance }), missing };
}

/** Other fields are allowed: a newer register may write some. */
function instanceSchema(describe: (field: string) => FieldText | undefined): JsonSchema {
  const word = { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$' };
  const fields: Readonly<Record<string, JsonSchema>> = {
    address: { type: 'string' },
    port: { type: 'integer', minimum: 1, maximum: 65_535 },
    weight: { type: 'integer', minimum: 0, maximum: 256 },
    state: { enum: instanceStates },
    version: word,
    zone: word,
    role: { enum: instanceRoles },
    meta: { type: 'object', maxProperties: mostMeta, additionalProperties: { type: 'string', maxLength: 256 } },
  };
  const described = Object.entries(fields).map(([name, schema]) => [name, { ...describe(name), ...schema }]);
  return { type: 'object', properties: Object.fromEntries(described), required: ['address'] };
}

/** A value may be given as the text that the registry holds, too. */
const orText = (schema: JsonSchema, description: string): JsonSchema => ({
  description,
  ...schema,
  type: ['object', 'string'],
});

const serviceNames = { pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$' };
const serviceNamesOrAll = { pattern: '^(\\*|[A-Za-z0-9][A-Za-z0-9._-]{0,62})$' };
const instanceIds = { pattern: '^[A-Za-z0-9][A-Za-z0-9._:-]{0,126}$' };
const instanceIdsOrAll = { pattern: '^(\\*|[A-Za-z0-9][A-Za-z0-9._:-]{0,126})$' };

/** An area may be empty: its entries may be comments. */
const area = (description: string, propertyNames: JsonSchema, additionalProperties: JsonSchema): JsonSchema => ({
  description,
  type: ['object', 'null'],
  propertyNames,
  additionalProperties,
});

type Parts = Readonly<Record<'policy' | 'claim' | 'override' | 'instance', JsonSchema>>;

function treeOf({ policy, claim, override, instance }: Parts): JsonSchema {
  const ref = (name: string): JsonSchema => ({ $ref: `#/definitions/${name}` });
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'pointsman declarations',
    description: 'Entries of the registry of pointsman, for pointsman check, diff and apply.',
    type: ['object', 'null'],
    properties: {
      $schema: { description: 'The JSON schema of this file, for editors.', type: 'string' },
      services: area('Policies, by the name of the service.', serviceNames, ref('policy')),
      claims: area(
        'Claims, by the name of the service; "*" is for every service without one.',
        serviceNamesOrAll,
        ref('claim'),
      ),
      instances: area(
        'Static instances, by service and id. They have no lease, so they stay until they are deleted.',
        serviceNames,
        area('The instances of a service, by id.', instanceIds, ref('instance')),
      ),
      overrides: area(
        'Overrides, by service and instance; "*" is the whole service.',
        serviceNames,
        area('The overrides of a service, by instance.', instanceIdsOrAll, ref('override')),
      ),
      keys: {
        description: 'Values for templates of your own. A mapping is a folder of keys.',
        type: ['object', 'null'],
        additionalProperties: ref('folder'),
      },
    },
    patternProperties: { '^x-': { description: 'Parts to be named by aliases. pointsman reads nothing else of it.' } },
    additionalProperties: false,
    definitions: {
      policy: orText(policy, 'The policy of a service.'),
      claim: orText(claim, 'The hosts, ports, priorities and certificates that a service may ask for.'),
      override: orText(override, 'What an operator restricts.'),
      instance: orText(instance, 'An instance: host:port, or an object with more fields.'),
      folder: {
        description: 'A value, or a folder of keys.',
        type: ['object', 'string', 'number', 'boolean'],
        additionalProperties: ref('folder'),
      },
    },
  };
}
