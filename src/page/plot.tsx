import { useEffect, useRef, useState } from 'preact/hooks';
import UPlot from 'uplot';
import { shortClockOf } from './dates.ts';

type Line = { readonly label: string; readonly color: string; readonly values: readonly (number | null)[] };

export type PlotProps = {
  /** The text for screen readers. */
  readonly label: string;
  /** In seconds since 1970, one for each value of a line. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly height: number;
  /** Called with the place of the value under the pointer; undefined without one. */
  readonly onPoint: (index: number | undefined) => void;
};

const dataOf = ({ times, lines }: Pick<PlotProps, 'times' | 'lines'>): UPlot.AlignedData => [
  [...times],
  ...lines.map(({ values }) => [...values]),
];

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

function optionsOf(element: HTMLElement, { lines, height, onPoint }: PlotProps): UPlot.Options {
  const axis = {
    stroke: resolved(element, '--dim'),
    grid: { stroke: resolved(element, '--line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui',
  };
  return {
    width: element.clientWidth,
    height,
    legend: { show: false },
    cursor: { y: false, drag: { setScale: false, x: false, y: false }, points: { size: 5 } },
    hooks: { setCursor: [({ cursor: { idx } }) => onPoint(idx ?? undefined)] },
    padding: [8, 8, 0, 0],
    scales: {
      x: { range: (_, oldest, newest) => [oldest, newest] },
      y: { range: (_, __, most) => [0, Math.max(1, most * 1.05)] },
    },
    axes: [
      { ...axis, size: 22, values: (_, times) => times.map((s) => shortClockOf(new Date(s * 1000))) },
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
  };
}

/** Lines over time, as wide as there is room. */
export function Plot(props: PlotProps) {
  const { label, times, lines, height } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | undefined>(undefined);
  const dark = useDark();
  const names = lines.map((line) => line.label).join();
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const made = new UPlot(optionsOf(element, props), dataOf(props), element);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
    };
    // Made once for each scheme and set of lines; new values are given to it below.
  }, [dark, names]);
  useEffect(() => plot.current?.setData(dataOf({ times, lines })), [times]);
  return <div ref={box} class="plot" style={{ height: `${height}px` }} role="img" aria-label={label} />;
}
