import type { Container } from '../../engine/container.ts';
import type { Fault } from '../../model/fault.ts';
import type { ServiceName } from '../../model/name.ts';
import type { PoliciesFacts } from './containers-facts.ts';
import type { Want } from './wanted-instances.ts';

/** A policy that the labels of a container ask for. */
export type Asked = {
  readonly service: ServiceName;
  /** The JSON of the policy; undefined if the labels have a mistake. */
  readonly policy: string | undefined;
  readonly container: string;
  readonly created: number;
};

/** The policies of services that labels ask for. */
export type LabelledPolicies = {
  /** What the labels of a container ask for, and what is wrong with those about policies. */
  readonly read: (container: Container) => { readonly asked: readonly Asked[]; readonly problems: readonly Fault[] };
  /** Called with what all containers of the engine ask for at each change of one of them. */
  readonly update: (asked: readonly (Asked & { readonly announced: boolean })[]) => void;
  /** Whether the policy of the service is in the registry, so that its first request meets it. */
  readonly isSettled: (service: ServiceName) => boolean;
  /** Calls the listener when `isSettled` may have changed. */
  readonly whenSettled: (listener: () => void) => void;
  readonly state: () => PoliciesFacts;
  readonly close: () => Promise<void>;
};

/** The services of a container whose labels about policies have a mistake: under another policy they may be open to everybody. */
export const mistakenServices = (asked: readonly Asked[]): ReadonlySet<ServiceName> =>
  new Set(asked.filter(({ policy }) => policy === undefined).map(({ service }) => service));

/** What a container asks for, each with whether one of the instances that it has announced is of this service. */
export const withAnnounced = (
  asked: readonly Asked[],
  instances: readonly { readonly service: ServiceName; readonly announced: boolean }[],
): readonly (Asked & { readonly announced: boolean })[] =>
  asked.map((one) => {
    const announced = instances.some((instance) => instance.service === one.service && instance.announced);
    return { ...one, announced };
  });

/** Leaves out the instances that come before the policy that their container asks for. */
export function policiesFirst(
  wanted: ReadonlyMap<string, Want>,
  before: ReadonlyMap<string, Want>,
  askedBy: ReadonlyMap<string, readonly Asked[]>,
  isSettled: LabelledPolicies['isSettled'],
): ReadonlyMap<string, Want> {
  const stays = ([name, { how, container, declared }]: readonly [string, Want]) => {
    const { service } = declared.instance;
    if (how !== 'announce' || before.get(name)?.how === 'announce') return true;
    return askedBy.get(container)?.some((one) => one.service === service) !== true || isSettled(service);
  };
  return new Map([...wanted].filter(stays));
}
