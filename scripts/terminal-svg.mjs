// An animated picture of a terminal: one SVG with CSS, which shows one frame after the other, and without scripts and fonts.
import { TerminalScreen } from './terminal-screen.mjs';

/**
 * @typedef {{ atMs: number, text: string }} Output
 * @typedef {{ columns: number, rows: number, title: string, endMs: number }} PictureOptions
 */

const font = { size: 14, width: 8.4, line: 19 };
const margin = 16;
/** Output that comes this soon after other output is one frame. */
const frameMs = 90;
/** No pause is longer in the picture. */
const mostPauseMs = 2500;

const css = `
.t{font:${font.size}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#d5dae1;white-space:pre}
.b{font-weight:700;fill:#fff}.d{fill:#8a94a3}.r{fill:#ff7b72}.g{fill:#7ee787}.y{fill:#e3b341}.c{fill:#79c0ff}`;

/**
 * @param {readonly Output[]} outputs What the terminal got, and when.
 * @param {PictureOptions} options
 */
export function terminalSvg(outputs, { columns, rows, title, endMs }) {
  const frames = framesOf(outputs, columns, rows, endMs);
  /** @type {Map<string, string>} */
  const lines = new Map();
  const height = rows * font.line + 2 * margin;
  const width = Math.ceil(columns * font.width) + 2 * margin;
  const groups = frames.map(({ screen }, index) => {
    const uses = screen.flatMap((line, row) => {
      if (line.length === 0) return [];
      const drawn = line.map(drawRun).join('');
      const id = lines.get(drawn) ?? `l${lines.size}`;
      lines.set(drawn, id);
      return [`<use href="#${id}" y="${row * font.line}"/>`];
    });
    return `<g transform="translate(0 ${index * height})">${uses.join('')}</g>`;
  });
  const total = frames.reduce((sum, { forMs }) => sum + forMs, 0);
  let at = 0;
  const steps = frames.map(({ forMs }, index) => {
    const step = `${((at / total) * 100).toFixed(2)}%{transform:translateY(${-index * height}px)}`;
    at += forMs;
    return step;
  });
  const last = `transform:translateY(${-(frames.length - 1) * height}px)`;
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${escaped(title)}" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
<title>${escaped(title)}</title>
<style>${css}
.f{animation:p ${(total / 1000).toFixed(2)}s step-end infinite}
@keyframes p{${steps.join('')}100%{${last}}}
@media (prefers-reduced-motion:reduce){.f{animation:none;${last}}}
</style>
<defs>
${[...lines].map(([drawn, id]) => `<text id="${id}" class="t" x="${margin}" y="${margin + font.size}" xml:space="preserve">${drawn}</text>`).join('\n')}
</defs>
<rect width="100%" height="100%" rx="8" fill="#12161c"/>
<g class="f">
${groups.join('\n')}
</g>
</svg>
`;
}

/**
 * The screens that are shown, and for how long.
 * @param {readonly Output[]} outputs
 * @param {number} columns
 * @param {number} rows
 * @param {number} endMs
 */
function framesOf(outputs, columns, rows, endMs) {
  const terminal = new TerminalScreen(columns, rows);
  /** @type {{ screen: TerminalScreen['rows'], atMs: number }[]} */
  const screens = [];
  for (const { atMs, text } of outputs) {
    terminal.write(text);
    const last = screens.at(-1);
    if (last !== undefined && atMs - last.atMs < frameMs) last.screen = terminal.rows;
    else screens.push({ screen: terminal.rows, atMs });
  }
  return screens.map(({ screen, atMs }, index) => {
    const next = screens[index + 1];
    return { screen, forMs: next === undefined ? endMs : Math.min(mostPauseMs, next.atMs - atMs) };
  });
}

/** @param {import('./terminal-screen.mjs').Run} run */
function drawRun({ text, style, column }) {
  const classes = [...style].join(' ');
  const place = column === 0 ? '' : ` x="${(margin + column * font.width).toFixed(1)}"`;
  const length = ` textLength="${([...text].length * font.width).toFixed(1)}"`;
  return `<tspan${place}${length}${classes === '' ? '' : ` class="${classes}"`}>${escaped(text)}</tspan>`;
}

/** @param {string} text */
const escaped = (text) =>
  text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');
