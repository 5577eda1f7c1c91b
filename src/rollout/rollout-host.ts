import type { ServingContainer } from './service-containers.ts';

/** Whether a step reached its goal in its time, or why not. */
export type StepResult = { readonly ok: true } | { readonly ok: false; readonly because: string };

/** Whether containers are stopped and removed. `refused`: the engine refused it for all of them, so each runs as before. */
export type RemovalResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly because: string; readonly refused: boolean };

/**
 * The containers of a service on one host, and what a rollout does with them. Each step has its own time limit. A step rejects when the
 * engine or the registry has not answered for long; what it was to do may be done then.
 */
export interface RolloutHost {
  /** The containers of the service that exist, active or not. */
  containers(): Promise<readonly ServingContainer[]>;
  /** The services of all containers of the engine. */
  services(): Promise<readonly string[]>;
  /** Runs the command, which is told how many containers there are to be. Resolves with its exit code. */
  runCommand(scale: number): Promise<number>;
  /** Resolves when every balancer serves all instances of the containers. */
  served(containers: readonly ServingContainer[]): Promise<StepResult>;
  /** Resolves when every balancer serves at least one instance of the service that is none of these containers'. */
  othersServe(containers: readonly ServingContainer[]): Promise<StepResult>;
  /** Whether no other rollout of the service has begun: it counts the containers of this one as its own. */
  alone(): Promise<StepResult>;
  /** Drains the instances of the containers. Resolves when every balancer has acknowledged it and has no open request of them. */
  drain(containers: readonly ServingContainer[]): Promise<StepResult>;
  /** When the drain of a container ends by itself, in ms since 1970; undefined: it is not drained. */
  drainEnds(container: ServingContainer): number | undefined;
  /** Ends the drain of containers that go on. */
  undrain(containers: readonly ServingContainer[]): Promise<void>;
  /** Stops and removes containers. Never rejects. */
  remove(containers: readonly ServingContainer[]): Promise<RemovalResult>;
  /** Ends the drain of containers that do not run any more, when they are out of the registry. Never rejects. */
  forget(containers: readonly ServingContainer[]): Promise<void>;
  /** The rollout goes back from now on: the signal that may be the reason for it ends no further step. */
  goesBack(): void;
}
