import { useEffect, useRef, useState, useSyncExternalStore, type KeyboardEvent, type ReactElement } from 'react';

import type { ChartInfo } from '../generated/api';
import { showNode } from '../store/actions';
import { studio } from '../store/session';
import { usePhase } from '../store/select';
import { useStore } from '../store/store';
import { en } from '../text/en';
import { measure, sentence } from '../text/format';
import { ChartTable } from './ChartTable';
import { ChartButtons } from './ChartTools';
import { charts, type ChartConfig } from './host';
import { Marker } from './Marker';
import { applyView, toggleSeries, useChartView } from './view';

export const useChartsStatus = () => useSyncExternalStore(charts.subscribe, charts.getStatus);

/** One chart: title, legend, and a hole that the plot is painted under; or its rows as a table. `bare`: its tools stand elsewhere. */
export function ChartPanel({ chart, bare = false }: { chart: ChartInfo; bare?: boolean }): ReactElement {
  const view = useChartView(chart.node);
  const status = useChartsStatus();
  const table = view.table || status.is === 'unable';
  useWatching(chart, status.is === 'ready' && !table);
  return (
    <section className="chart" aria-label={en.chart.label(chart.title)} data-chart={chart.node}>
      <header className={`chart-head ${bare ? 'bare' : ''}`}>
        <div className="chart-caption">
          <h3 className="chart-title" title={chart.title}>
            {bare ? (
              chart.title
            ) : (
              <button type="button" title={en.live.open} onClick={() => showNode(chart.node)}>
                {chart.title}
              </button>
            )}
          </h3>
          <span className="mute chart-unit">{[chart.y.unit, en.chart.per(chart.x.column)].filter((part) => part !== '').join(', ')}</span>
          {view.paused && <span className="warn chart-paused">{en.chart.paused}</span>}
        </div>
        <Legend chart={chart} />
        {!bare && <ChartButtons node={chart.node} icons />}
      </header>
      <div className="chart-body">
        {status.is === 'unable' && <p className="chart-unable mute">{status.why}</p>}
        {table ? <ChartTable chart={chart} /> : <Plot chart={chart} />}
      </div>
    </section>
  );
}

/** Asks for the chart's points while it is painted. */
function useWatching(chart: ChartInfo, on: boolean): void {
  const welcome = useStore((state) => state.welcome);
  const run = useStore((state) => state.run?.run);
  const { node } = chart;
  useEffect(() => {
    if (!on || welcome === undefined) return;
    studio().tell({ ask: 'watch_chart', node, on: true });
    return () => studio().tell({ ask: 'watch_chart', node, on: false });
  }, [node, on, welcome, run]);

  const { hidden } = useChartView(node);
  const series = chart.series.map(({ name }) => ({ name, visible: !hidden.includes(name) }));
  // As text, so that an equal configuration is the same one to the effect.
  const config = JSON.stringify({ mark: chart.mark, x_kind: chart.x.kind, series } satisfies ChartConfig);
  useEffect(() => {
    if (on) charts.configure(node, JSON.parse(config) as ChartConfig);
  }, [node, on, config, run]);
  useEffect(() => {
    if (on) applyView(node);
  }, [node, on, run]);
}

function Plot({ chart }: { chart: ChartInfo }): ReactElement {
  const element = useRef<HTMLDivElement>(null);
  const status = useChartsStatus();
  useEffect(() => (element.current === null ? undefined : charts.show(chart.node, element.current)), [chart.node]);
  return (
    <div
      ref={element}
      className="chart-plot"
      data-testid="chart-plot"
      tabIndex={chart.rows === 0 ? -1 : 0}
      role="img"
      aria-label={en.chart.label(chart.title)}
      title={en.chart.keysHint}
      onKeyDown={(event) => moveByKey(event, chart.node)}
    >
      {status.is === 'loading' && <p className="empty">{en.chart.loading}</p>}
      {chart.rows === 0 && status.is !== 'loading' && <Waits chart={chart} />}
    </div>
  );
}

/** What the wheel and the hand do to a chart, by keys. */
function moveByKey(event: KeyboardEvent, node: string): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'ArrowLeft') charts.pan(node, -0.1);
  else if (event.key === 'ArrowRight') charts.pan(node, 0.1);
  else if (event.key === '+' || event.key === '=') charts.zoom(node, 1.5);
  else if (event.key === '-') charts.zoom(node, 1 / 1.5);
  else if (event.key === '0') charts.resetZoom(node);
  else return;
  event.preventDefault();
}

/** Why there is nothing to see yet. */
export function Waits({ chart }: { chart: ChartInfo }): ReactElement {
  const phase = usePhase();
  return <p className="empty chart-waits">{chart.waits_for !== undefined ? sentence(chart.waits_for) : phase === 'draft' ? en.chart.notRun : en.chart.waits}</p>;
}

/** As many series as the legend names at once. */
const NAMED = 8;

/** The series: shape, colour, name and newest value, or the value under the pointer. A click hides or shows one. */
function Legend({ chart }: { chart: ChartInfo }): ReactElement {
  const { hidden } = useChartView(chart.node);
  const [all, setAll] = useState(false);
  const hover = useSyncExternalStore(charts.subscribe, charts.getHover);
  const here = hover?.id === chart.node ? hover.at : undefined;
  const rest = chart.series.slice(NAMED);
  return (
    <ul className="legend" aria-label={en.chart.legend}>
      {here !== undefined && <li className="mono mute legend-x">{here.x_text}</li>}
      {(all ? chart.series : chart.series.slice(0, NAMED)).map((series, index) => {
        const shown = !hidden.includes(series.name);
        const value = here === undefined ? series.latest : here.values.find((one) => one.series === series.name)?.y;
        return (
          <li key={series.name}>
            <button
              type="button"
              className={`legend-item ${shown ? '' : 'hidden'}`}
              aria-pressed={shown}
              aria-label={en.chart.series(series.name, shown)}
              title={series.name}
              onClick={() => toggleSeries(chart.node, series.name)}
            >
              <Marker index={index} />
              <span className="legend-name">{series.name}</span>
              <span className="mono legend-value">{value === undefined ? '–' : measure(value)}</span>
            </button>
          </li>
        );
      })}
      {rest.length > 0 && (
        <li>
          <button type="button" className="legend-more" aria-expanded={all} title={rest.map((series) => series.name).join(', ')} onClick={() => setAll(!all)}>
            {all ? en.chart.fewerSeries : en.chart.moreSeries(rest.length)}
          </button>
        </li>
      )}
    </ul>
  );
}
