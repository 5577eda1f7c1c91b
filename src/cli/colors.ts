import pc from 'picocolors';

/**
 * Colours for what is written to this stream: on a terminal, unless NO_COLOR says otherwise. Not by picocolors' own
 * judgement, which colours wherever the variable CI is set.
 */
export function colorsOf(stream: NodeJS.WriteStream): ReturnType<typeof pc.createColors> {
  return pc.createColors(Boolean(stream.isTTY) && !process.env['NO_COLOR']);
}
