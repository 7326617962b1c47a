import { create } from 'zustand';

import { charts } from './host';

/** How the user looks at one chart. It outlives the panels, which come and go with the screens. */
export interface ChartView {
  paused: boolean;
  follow: boolean;
  table: boolean;
  /** Names of the series that are switched off. */
  hidden: readonly string[];
}

const DEFAULT: ChartView = { paused: false, follow: true, table: false, hidden: [] };

const useViews = create<Record<string, ChartView | undefined>>(() => ({}));

export const useChartView = (id: string): ChartView => useViews((views) => views[id] ?? DEFAULT);

export const chartView = (id: string): ChartView => useViews.getState()[id] ?? DEFAULT;

function change(id: string, part: Partial<ChartView>): void {
  useViews.setState({ [id]: { ...chartView(id), ...part } });
}

export function togglePaused(id: string): void {
  const paused = !chartView(id).paused;
  change(id, { paused });
  charts.setPaused(id, paused);
}

export function toggleFollow(id: string): void {
  const follow = !chartView(id).follow;
  change(id, { follow });
  charts.setFollow(id, follow);
}

export const toggleTable = (id: string): void => change(id, { table: !chartView(id).table });

export function toggleSeries(id: string, name: string): void {
  const { hidden } = chartView(id);
  change(id, { hidden: hidden.includes(name) ? hidden.filter((other) => other !== name) : [...hidden, name] });
}

// A chart stops following by itself when the hand moves it back.
charts.onView = (id, visible) => {
  if (chartView(id).follow !== visible.follow) change(id, { follow: visible.follow });
};

/** Tells the charts how a chart is looked at, after they were loaded or a run began. */
export function applyView(id: string): void {
  const { paused, follow } = chartView(id);
  charts.setPaused(id, paused);
  charts.setFollow(id, follow);
}
