import { useMemo, useState } from 'preact/hooks';
import type { HistoryView } from '../balance/history/traffic-history.ts';
import { clockOf } from './dates.ts';
import { formatDuration, formatRate } from './format.ts';
import type { Latest } from './latest-rates.ts';
import { useHistory } from './live.ts';
import { Plot } from './plot.tsx';

const spans = [
  { label: '10 min', s: 600 },
  { label: '1 hour', s: 3600 },
] as const;

type Cut = Pick<HistoryView, 'requestsPerS' | 'errorsPerS' | 'meanMs' | 'p50Ms' | 'p95Ms'> & {
  readonly times: readonly number[];
};

const nothing: Cut = { times: [], requestsPerS: [], errorsPerS: [], meanMs: [], p50Ms: [], p95Ms: [] };

/** The newest part of a history. */
function cut(history: HistoryView, spanS: number): Cut {
  const { stepS, until, requestsPerS, errorsPerS, meanMs, p50Ms, p95Ms } = history;
  const steps = Math.min(requestsPerS.length, Math.ceil(spanS / stepS));
  return {
    times: Array.from({ length: steps }, (_, i) => until - (steps - 1 - i) * stepS),
    requestsPerS: requestsPerS.slice(-steps),
    errorsPerS: errorsPerS.slice(-steps),
    meanMs: meanMs.slice(-steps),
    p50Ms: p50Ms.slice(-steps),
    p95Ms: p95Ms.slice(-steps),
  };
}

const most = (values: readonly (number | null)[]): number =>
  values.reduce<number>((max, one) => Math.max(max, one ?? 0), 0);
const ms = (value: number | null | undefined): string =>
  value === null || value === undefined ? '–' : formatDuration(value);
const perS = (value: number | null | undefined): string =>
  value === null || value === undefined ? '–' : formatRate(value);

type TrafficProps = {
  /** Undefined: all services together. */
  readonly name: string | undefined;
  readonly latest: Latest | undefined;
  readonly height: number;
};

/** The requests, errors and latency of the last minutes, also of those before the page was opened. */
export function Traffic({ name, latest, height }: TrafficProps) {
  const history = useHistory(name);
  const [spanS, setSpanS] = useState<number>(3600);
  const [at, setAt] = useState<number>();
  const shown = useMemo(() => (history === undefined ? nothing : cut(history, spanS)), [history, spanS]);
  const { times, requestsPerS, errorsPerS, meanMs, p50Ms, p95Ms } = shown;
  const hasPercentiles = p95Ms.some((one) => one !== null);
  const pick = (values: readonly (number | null)[], now: number | undefined) => (at === undefined ? now : values[at]);
  const when = at === undefined || times[at] === undefined ? 'now' : clockOf(new Date(times[at] * 1000));
  const whose = name ?? 'all services';
  const span = spanS === 3600 ? 'the last hour' : 'the last 10 minutes';
  const lastOf = (values: readonly (number | null)[]) => values.findLast((one) => one !== null) ?? undefined;
  const errors = pick(errorsPerS, latest?.errorsPerS);
  return (
    <div class="traffic">
      <fieldset class="spans">
        <legend class="hidden">Time that the plots of {whose} show</legend>
        <span class="dim when">{when}</span>
        {spans.map((one) => (
          <button key={one.s} type="button" aria-pressed={spanS === one.s} onClick={() => setSpanS(one.s)}>
            {one.label}
          </button>
        ))}
      </fieldset>
      <div class="plots">
        <figure>
          <figcaption>
            <Key color="accent" /> requests/s <b>{perS(pick(requestsPerS, latest?.requestsPerS))}</b>{' '}
            <Key color="bad" /> errors/s <b class={(errors ?? 0) > 0 ? 'bad' : ''}>{perS(errors)}</b>
          </figcaption>
          <Plot
            label={`Requests and errors per second of ${whose} in ${span}: at most ${formatRate(most(requestsPerS))} requests and ${formatRate(most(errorsPerS))} errors.`}
            times={times}
            height={height}
            onPoint={setAt}
            lines={[
              { label: 'requests/s', color: '--accent', values: requestsPerS },
              { label: 'errors/s', color: '--bad', values: errorsPerS },
            ]}
          />
        </figure>
        <figure>
          <figcaption title="The mean time until an answer begins, of the newest 1,024 requests, as HAProxy says it. p50 and p95 are of the requests of 10 s, and need --access-log on.">
            {hasPercentiles && (
              <>
                <Key color="good" /> p50 <b>{ms(pick(p50Ms, lastOf(p50Ms)))}</b> <Key color="note" /> p95{' '}
                <b>{ms(pick(p95Ms, lastOf(p95Ms)))}</b>
              </>
            )}{' '}
            <Key color="accent" /> mean latency <b>{ms(pick(meanMs, latest?.meanMs))}</b>
            {!hasPercentiles && <span class="hint">p50 and p95: --access-log on</span>}
          </figcaption>
          <Plot
            label={`Latency of ${whose} in ${span}, in ms: a mean of at most ${formatRate(most(meanMs))}${hasPercentiles ? `, a p95 of at most ${formatRate(most(p95Ms))}` : ''}.`}
            times={times}
            height={height}
            onPoint={setAt}
            lines={[
              { label: 'mean', color: '--accent', values: meanMs },
              ...(hasPercentiles
                ? [
                    { label: 'p50', color: '--good', values: p50Ms },
                    { label: 'p95', color: '--note', values: p95Ms },
                  ]
                : []),
            ]}
          />
        </figure>
      </div>
    </div>
  );
}

/** A patch of a line's colour. */
const Key = ({ color }: { readonly color: string }) => <i class={`key ${color}`} aria-hidden="true" />;
