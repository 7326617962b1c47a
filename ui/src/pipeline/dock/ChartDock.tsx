import type { ReactElement } from 'react';

import { ChartArea } from '../../charts/ChartArea';
import { ChartPanel } from '../../charts/ChartPanel';
import { useStore } from '../../store/store';
import { en } from '../../text/en';

/** One chart at a time, under the canvas that feeds it. */
export function ChartDock(): ReactElement {
  const chart = useStore((state) => state.charts.find((one) => one.node === state.dockChart) ?? state.charts[0]);
  if (chart === undefined) return <p className="empty">{en.chart.none}</p>;
  return (
    <ChartArea>
      <ChartPanel chart={chart} bare key={chart.node} />
    </ChartArea>
  );
}
