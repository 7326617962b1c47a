import { useEffect, useState, type ReactElement } from 'react';

import { RequestError } from '../adapter/client';
import type { ChartInfo, RowsPage } from '../generated/api';
import { RowsTable } from '../pipeline/RowsTable';
import { studio } from '../store/session';
import { en } from '../text/en';
import { count } from '../text/format';
import { Waits } from './ChartPanel';

const PAGE = 200;

/** The rows that a chart holds, newest first page; the newest page follows what comes. */
export function ChartTable({ chart }: { chart: ChartInfo }): ReactElement {
  const [offset, setOffset] = useState(0);
  const page = useRows(chart, offset);
  if (chart.rows === 0) return <Waits chart={chart} />;
  if (page === undefined) return <p className="empty">{en.chart.tableNone}</p>;
  const last = page.total - offset;
  return (
    <div className="chart-table">
      <div className="chart-table-rows scroll" tabIndex={0} role="group" aria-label={en.chart.table}>
        <RowsTable page={page} />
      </div>
      <footer className="chart-table-foot mute">
        <span>{en.chart.page(count(Math.max(1, last - page.rows.length + 1)), count(last), count(page.total))}</span>
        {chart.dropped_rows > 0 && <span>{en.chart.dropped(count(chart.dropped_rows))}</span>}
        <button type="button" className="link-button" disabled={offset === 0} onClick={() => setOffset(Math.max(0, offset - PAGE))}>
          {en.chart.newer}
        </button>
        <button type="button" className="link-button" disabled={last <= PAGE} onClick={() => setOffset(offset + PAGE)}>
          {en.chart.older}
        </button>
      </footer>
    </div>
  );
}

function useRows(chart: ChartInfo, offset: number): RowsPage | undefined {
  const [page, setPage] = useState<RowsPage | undefined>(undefined);
  const { node } = chart;
  // An older page stays as it is read; the newest follows.
  const version = offset === 0 ? chart.rows + chart.dropped_rows : offset;
  useEffect(() => {
    let current = true;
    studio()
      .askFor('rows', { ask: 'chart_rows', node, offset, limit: PAGE })
      .then(
        (reply) => {
          if (current) setPage(reply.value);
        },
        (error: unknown) => {
          if (!(error instanceof RequestError)) throw error;
        },
      );
    return () => {
      current = false;
    };
  }, [node, offset, version]);
  return page;
}
