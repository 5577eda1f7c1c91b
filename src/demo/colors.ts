type Paint = (text: string) => string;

/** The colours of the demo's lines. */
export type Colors = Readonly<Record<'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan', Paint>>;
