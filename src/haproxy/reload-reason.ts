import type { InstanceId, ServiceName } from '../model/name.ts';

/** Why a reload is needed. The kind is the label of a metric. */
export type ReloadReason =
  | { readonly kind: 'start' }
  /** `services`: the services whose ports differ; empty if something else differs. */
  | { readonly kind: 'frame'; readonly services: readonly ServiceName[] }
  | { readonly kind: 'new-backend'; readonly backend: ServiceName }
  | { readonly kind: 'backend'; readonly backend: ServiceName }
  | { readonly kind: 'server-keywords'; readonly backend: ServiceName; readonly server: InstanceId }
  | { readonly kind: 'server-line'; readonly backend: ServiceName; readonly server: InstanceId }
  /** The address was changed by command; open connections take requests to the former one until a reload: see known-faults.ts. */
  | { readonly kind: 'former-address'; readonly backend: ServiceName; readonly server: InstanceId }
  | {
      readonly kind: 'refused';
      /** Of the server or service that the command was about. */
      readonly backend?: ServiceName;
      readonly command: string;
      readonly answer: string;
    }
  /** So many routes of these services change that a reload is quicker than commands. */
  | { readonly kind: 'many-routes'; readonly services: readonly ServiceName[] }
  /** A file that the configuration names changed, and is read at a reload only. */
  | { readonly kind: 'file'; readonly file: string }
  /** More retired servers than this are in HAProxy, most of them of these services. Only a reload removes them. */
  | { readonly kind: 'retired'; readonly more: number; readonly services: readonly ServiceName[] }
  /** The reload before it failed, and the next one cannot fail without harm before one succeeds. */
  | { readonly kind: 'restore' }
  /** So many servers that were added at run time reuse no connection until a reload: see known-faults.ts. */
  | { readonly kind: 'no-reuse'; readonly servers: number }
  | { readonly kind: 'drift' };

/** The services whose changes need the reload; none if it concerns all. */
export function servicesOf(reason: ReloadReason): readonly ServiceName[] {
  switch (reason.kind) {
    case 'new-backend':
    case 'backend':
    case 'server-keywords':
    case 'server-line':
    case 'former-address':
      return [reason.backend];
    case 'refused':
      return reason.backend === undefined ? [] : [reason.backend];
    case 'frame':
    case 'many-routes':
    case 'retired':
      return reason.services;
    case 'start':
    case 'file':
    case 'restore':
    case 'no-reuse':
    case 'drift':
      return [];
  }
}

const mostNamed = 3;

function firstOf(services: readonly ServiceName[]): string {
  const more = services.length > mostNamed ? ` and ${services.length - mostNamed} more` : '';
  return services.slice(0, mostNamed).join(', ') + more;
}

/** One clause for a log or a person. */
export function describeReason(reason: ReloadReason): string {
  switch (reason.kind) {
    case 'start':
      return 'pointsman started';
    case 'frame':
      return reason.services.length === 0
        ? 'the base configuration changed'
        : `the port of ${firstOf(reason.services)} changed`;
    case 'new-backend':
      return `service ${reason.backend} is new`;
    case 'backend':
      return `the settings of service ${reason.backend} changed`;
    case 'server-keywords':
      return `keywords of ${reason.backend}/${reason.server} changed`;
    case 'server-line':
      return `HAProxy accepts the line of ${reason.backend}/${reason.server} only in a file`;
    case 'former-address':
      return `open connections to ${reason.backend}/${reason.server} would stay at its former address`;
    case 'refused':
      return `HAProxy answered ${JSON.stringify(reason.answer)} to ${JSON.stringify(reason.command)}`;
    case 'many-routes':
      return `many routes of ${firstOf(reason.services)} changed at once`;
    case 'file':
      return `${reason.file} changed`;
    case 'no-reuse':
      return `${reason.servers} servers that were added at run time reuse no connection in this HAProxy until a reload`;
    case 'retired':
      return `more than ${reason.more} servers that left are in HAProxy, which cannot delete them safely, most of them of ${firstOf(reason.services)}`;
    case 'restore':
      return 'the reload before failed, so HAProxy loads the served configuration again';
    case 'drift':
      return 'HAProxy does not run the configuration that pointsman gave it';
  }
}
