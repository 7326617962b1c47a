import './live.css';

import { ChevronLeft, ChevronRight } from 'lucide-react';
import { useState, type ReactElement } from 'react';

import { ChartArea } from '../charts/ChartArea';
import { ChartPanel } from '../charts/ChartPanel';
import { useStore } from '../store/store';
import { en } from '../text/en';

/** Two columns, two rows: a page never scrolls by itself. */
const PER_PAGE = 4;

/** All charts of the pipeline, page by page. */
export default function Live(): ReactElement {
  const charts = useStore((state) => state.charts);
  const [page, setPage] = useState(0);
  if (charts.length === 0) {
    return (
      <div className="empty">
        <h2>{en.live.none}</h2>
        <p>{en.live.noneHint}</p>
      </div>
    );
  }
  const pages = Math.ceil(charts.length / PER_PAGE);
  const at = Math.min(page, pages - 1);
  const shown = charts.slice(at * PER_PAGE, (at + 1) * PER_PAGE);
  return (
    <section className="live" aria-label={en.live.label}>
      <ChartArea>
        <div className={`live-grid of-${shown.length}`}>
          {shown.map((chart) => (
            <div key={chart.node} className="live-cell">
              <ChartPanel chart={chart} />
            </div>
          ))}
        </div>
      </ChartArea>
      {pages > 1 && (
        <nav className="live-pages" aria-label={en.live.label}>
          <button type="button" className="icon-button" aria-label={en.live.previous} disabled={at === 0} onClick={() => setPage(at - 1)}>
            <ChevronLeft size={16} aria-hidden />
          </button>
          <span>{en.live.page(at + 1, pages)}</span>
          <button type="button" className="icon-button" aria-label={en.live.next} disabled={at === pages - 1} onClick={() => setPage(at + 1)}>
            <ChevronRight size={16} aria-hidden />
          </button>
        </nav>
      )}
    </section>
  );
}
