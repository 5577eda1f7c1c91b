import type { ConnectionState } from '../connection.ts';
import type { Stage } from './container-run.ts';

/** What an agent knows of the containers that it follows. */
export type ContainersFacts = {
  readonly engine: ConnectionState & {
    readonly location: string;
    /** How many containers came or went without an event. */
    readonly missed: number;
  };
  /** How many containers that run or are paused have labels for pointsman, by the stage of their run. */
  readonly stages: Readonly<Record<Stage, number>>;
  /** How many containers have a mistake in their labels. */
  readonly refused: number;
  readonly policies: PoliciesFacts;
};

/** The policies that labels ask for, of all hosts. */
export type PoliciesFacts = {
  /** Why the registry cannot be followed; undefined while it is, and where its user may not read what labels ask for. */
  readonly away: string | undefined;
  /** Why some could not be written; undefined when all were. */
  readonly unwritten: string | undefined;
  /** Those that do not count, because another set or a person owns the policy: a line each. */
  readonly conflicts: readonly string[];
};
