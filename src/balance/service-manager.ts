/** What a service manager such as systemd is told. */
export type ServiceManager = {
  /** The service is started. `says` tells a person what it does. */
  readonly started: (says: string) => void;
  /** The service does something else now. */
  readonly says: (text: string) => void;
  /** The service is about to end. */
  readonly stopping: (says: string) => void;
};
