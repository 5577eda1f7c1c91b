/** The certificate of a host: `certificates/shop.example.com`, `certificates/*.example.com`. */
export const certificateKey = (host: string): string => `certificates/${host}`;

/**
 * The answer to a question of the authority (HTTP-01), which every balancer gives. Not in `acme/`: balancers do not follow that area
 * (`catalogKeys`), because only the leader needs it.
 */
export const challengeKey = (token: string): string => `challenges/${token}`;

/** How far the order of a host's certificate is, and when it is tried again. Only the leader writes it. */
export const orderKey = (host: string): string => `acme/orders/${host}`;

/** The wish of an operator for a new certificate. The leader removes it when it has begun. */
export const renewalKey = (host: string): string => `acme/renewals/${host}`;

/** The account at the authority. */
export const accountKey = 'acme/account';

/** The balancer that orders certificates, under its lease. */
export const leaderKey = 'acme/leader';

const hostOf = (prefix: string, key: string): string | undefined =>
  key.startsWith(prefix) && key.length > prefix.length ? key.slice(prefix.length) : undefined;

export const hostOfCertificate = (key: string): string | undefined => hostOf('certificates/', key);
export const tokenOfChallenge = (key: string): string | undefined => hostOf('challenges/', key);
export const hostOfOrder = (key: string): string | undefined => hostOf('acme/orders/', key);
export const hostOfRenewal = (key: string): string | undefined => hostOf('acme/renewals/', key);
