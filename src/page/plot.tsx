import { useEffect, useRef, useState } from 'preact/hooks';
import UPlot from 'uplot';
import type { Sample } from './rates.ts';

type Line = { readonly label: string; readonly color: string; readonly of: (sample: Sample) => number | undefined };

export type PlotProps = {
  /** The text for screen readers. */
  readonly label: string;
  readonly samples: readonly Sample[];
  readonly lines: readonly Line[];
  readonly height?: number;
};

const dataOf = (samples: readonly Sample[], lines: readonly Line[]): UPlot.AlignedData => [
  samples.map(({ at }) => at),
  ...lines.map(({ of }) => samples.map((sample) => of(sample) ?? null)),
];

const shownS = 300;
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short', hourCycle: 'h23' });

/** A colour of the style sheet in the form of a canvas: one of the two of light-dark(). */
function resolved(element: HTMLElement, variable: string): string {
  element.style.color = `var(${variable})`;
  const { color } = getComputedStyle(element);
  element.style.color = '';
  return color;
}

function useDark(): boolean {
  const [query] = useState(() => matchMedia('(prefers-color-scheme: dark)'));
  const [dark, setDark] = useState(query.matches);
  useEffect(() => {
    const onChange = () => setDark(query.matches);
    query.addEventListener('change', onChange);
    return () => query.removeEventListener('change', onChange);
  }, [query]);
  return dark;
}

/** The last five minutes of something, as wide as there is room. */
export function Plot({ label, samples, lines, height = 90 }: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | undefined>(undefined);
  const dark = useDark();
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const axis = {
      stroke: resolved(element, '--dim'),
      grid: { stroke: resolved(element, '--line'), width: 1 },
      ticks: { show: false },
      font: '11px system-ui',
    };
    const made = new UPlot(
      {
        width: element.clientWidth,
        height,
        legend: { show: false },
        cursor: { show: false },
        padding: [6, 4, 0, 0],
        scales: {
          x: { range: (_, __, newest) => [newest - shownS, newest] },
          y: { range: (_, __, most) => [0, Math.max(1, most)] },
        },
        axes: [
          { ...axis, size: 22, values: (_, times) => times.map((s) => clock.format(s * 1000)) },
          { ...axis, size: 44, space: 30 },
        ],
        series: [
          {},
          ...lines.map((line) => ({
            label: line.label,
            stroke: resolved(element, line.color),
            width: 1.5,
            points: { show: false },
          })),
        ],
      },
      dataOf(samples, lines),
      element,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
    };
    // Made once for each scheme; new samples are given to it below.
  }, [dark]);
  useEffect(() => plot.current?.setData(dataOf(samples, lines)), [samples]);
  return <div ref={box} class="plot" role="img" aria-label={label} />;
}
