import { setTimeout as pause } from 'node:timers/promises';
import { PatientEngine, type RepeatableEngine } from '../engine/patient-engine.ts';

/** The same engine, whose calls are repeated for some seconds while it does not answer. `say`: what is waited for. */
export const patient = (engine: RepeatableEngine, say: (text: string) => void): RepeatableEngine =>
  new PatientEngine({
    engine,
    now: () => performance.now(),
    pause: (ms, signal) => pause(ms, undefined, signal && { signal }).catch(() => undefined),
    onWait: (reason) => say(`waiting for the engine: ${reason}`),
  });
