import { Map as PersistentMap } from 'immutable';
import type { InstanceId, ServiceName } from '../model/name.ts';
import type { Revision } from '../model/revision.ts';
import { noRevision } from '../model/revision.ts';

import { RouteMap } from './route-map.ts';
import type { Routes, RouteTable } from './routes.ts';
import type { Section } from './template.ts';

export type RenderedBackend = {
  readonly name: ServiceName;
  /** The section's text around its server lines. */
  readonly section: Section;
  /** `server web-1 10.0.0.1:80 weight 100 check`, without indent and newline. */
  readonly servers: PersistentMap<InstanceId, string>;
  /** By what the weights are divided: with another divisor all server lines differ. 1 unless it is said. */
  readonly weightDivisor?: number | undefined;
  /** Undefined without checks, and where it was read back. */
  readonly checkPace?: CheckPace | undefined;
};

/** The whole configuration as text, in the pieces that can change alone. A value, which plan compares. */
export type Rendered = {
  readonly revision: Revision;
  /** The base configuration: all sections that belong to no policy and no service. */
  readonly base: Section;
  /** By name, the text of each `defaults` section that backends inherit from. */
  readonly policies: PersistentMap<string, string>;
  readonly backends: PersistentMap<ServiceName, RenderedBackend>;
  readonly routes: Routes;
  /** The source of the routes; undefined: they were read back. */
  readonly routeTable?: RouteTable | undefined;
};

export const nothingRendered: Rendered = {
  revision: noRevision,
  base: { before: '', indent: '', after: '' },
  policies: PersistentMap(),
  backends: PersistentMap(),
  routes: RouteMap.empty,
};

/** How often the instances of a service are checked. */
export type CheckPace = {
  /** As the policy says. */
  readonly wishedMs: number;
  readonly intervalMs: number;
};
