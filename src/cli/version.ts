import { version as released } from '../../package.json';

// Put in by scripts/build.mjs.
declare const POINTSMAN_COMMIT: string | undefined;

export const version: string = released;

/** The commit that this was built from; undefined outside a build. */
export const commit: string | undefined = typeof POINTSMAN_COMMIT === 'undefined' ? undefined : POINTSMAN_COMMIT;
