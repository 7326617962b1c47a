import { ChevronDown, Download, Maximize, Pause, Play, SkipForward, Table2 } from 'lucide-react';
import { useEffect, useRef, useState, type ReactElement, type ReactNode } from 'react';

import { setState, useStore } from '../store/store';
import { en } from '../text/en';
import { exportCsv, exportPng } from './export';
import { useChartsStatus } from './ChartPanel';
import { charts } from './host';
import { toggleFollow, togglePaused, toggleTable, useChartView } from './view';

/** The tools of the dock's chart, and which chart that is. */
export function ChartTools(): ReactElement | null {
  const list = useStore((state) => state.charts);
  const chart = useStore((state) => state.charts.find((one) => one.node === state.dockChart) ?? state.charts[0]);
  if (chart === undefined) return null;
  return (
    <>
      {list.length > 1 && (
        <label className="chart-pick">
          <span className="unseen">{en.chart.pick}</span>
          <select value={chart.node} onChange={(event) => setState({ dockChart: event.target.value })}>
            {list.map((one) => (
              <option key={one.node} value={one.node}>
                {one.node}
              </option>
            ))}
          </select>
          <ChevronDown size={13} aria-hidden />
        </label>
      )}
      <ChartButtons node={chart.node} />
    </>
  );
}

/** Pause, follow, table, export; with words in the dock where it is wide enough, with icons alone on a small panel. */
export function ChartButtons({ node, icons = false }: { node: string; icons?: boolean }): ReactElement {
  const view = useChartView(node);
  const plots = useChartsStatus().is === 'ready';
  const plotted = plots && !view.table;
  return (
    <span className={`chart-tools ${icons ? 'icons' : ''}`}>
      <Tool
        icons={icons}
        pressed={view.paused}
        disabled={!plotted}
        title={view.paused ? en.chart.resume : en.chart.pause}
        icon={view.paused ? <Play size={13} aria-hidden /> : <Pause size={13} fill="currentColor" strokeWidth={0} aria-hidden />}
        act={() => togglePaused(node)}
      />
      <Tool icons={icons} pressed={view.follow} disabled={!plotted} title={en.chart.follow} icon={<SkipForward size={13} aria-hidden />} act={() => toggleFollow(node)} />
      <Tool icons={icons} disabled={!plotted} title={en.chart.reset} icon={<Maximize size={12} aria-hidden />} act={() => charts.resetZoom(node)} onlyIcon />
      <Tool icons={icons} pressed={view.table || !plots} disabled={!plots} title={en.chart.table} icon={<Table2 size={13} aria-hidden />} act={() => toggleTable(node)} />
      <ExportMenu node={node} icons={icons} plotted={plotted} />
    </span>
  );
}

interface ToolProps {
  title: string;
  icon: ReactNode;
  act: () => void;
  icons: boolean;
  pressed?: boolean;
  disabled?: boolean;
  onlyIcon?: boolean;
}

function Tool({ title, icon, act, icons, pressed, disabled = false, onlyIcon = false }: ToolProps): ReactElement {
  const bare = icons || onlyIcon;
  return (
    <button type="button" className="chart-tool" aria-pressed={pressed} aria-label={bare ? title : undefined} title={title} disabled={disabled} onClick={act}>
      {icon}
      {!bare && <span className="chart-tool-word">{title}</span>}
    </button>
  );
}

function ExportMenu({ node, icons, plotted }: { node: string; icons: boolean; plotted: boolean }): ReactElement {
  const [open, setOpen] = useState(false);
  const element = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (!open) return;
    const outside = (event: PointerEvent): void => {
      if (event.target instanceof Node && element.current?.contains(event.target) === false) setOpen(false);
    };
    window.addEventListener('pointerdown', outside, true);
    return () => window.removeEventListener('pointerdown', outside, true);
  }, [open]);
  const act = (save: (node: string) => Promise<void>): void => {
    setOpen(false);
    void save(node);
  };
  return (
    <span
      ref={element}
      className="export"
      onKeyDown={(event) => {
        if (event.key === 'Escape') setOpen(false);
      }}
    >
      <button
        type="button"
        className="chart-tool"
        aria-haspopup="menu"
        aria-expanded={open}
        aria-label={icons ? en.chart.export : undefined}
        title={en.chart.export}
        onClick={() => setOpen(!open)}
      >
        <Download size={13} aria-hidden />
        {!icons && <span className="chart-tool-word">{en.chart.export}</span>}
      </button>
      {open && (
        <span className="export-menu" role="menu">
          <button type="button" role="menuitem" disabled={!plotted} onClick={() => act(exportPng)}>
            {en.chart.png}
          </button>
          <button type="button" role="menuitem" onClick={() => act(exportCsv)}>
            {plotted ? en.chart.csv : en.chart.csvAll}
          </button>
        </span>
      )}
    </span>
  );
}
