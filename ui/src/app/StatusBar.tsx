import { BellRing } from 'lucide-react';
import { useEffect, useState, type ReactElement } from 'react';

import { selectNode, showDock, showScreen } from '../store/actions';
import { isOver, useFiring, usePhase } from '../store/select';
import { useStore } from '../store/store';
import { en } from '../text/en';
import { bytes, compact, count, percent } from '../text/format';

export function StatusBar(): ReactElement {
  const figures = useStore((state) => state.figures);
  const phase = usePhase();
  const errors = useStore((state) => state.document?.findings.filter((finding) => finding.severity === 'error').length ?? 0);
  const warnings = useStore((state) => state.document?.findings.filter((finding) => finding.severity === 'warning').length ?? 0);
  const firing = useFiring();
  const version = useStore((state) => state.welcome?.version ?? '');
  const reconnecting = useStore((state) => state.run?.reconnecting);
  const reconnects = useStore((state) => state.run?.reconnects);
  const idle = figures === undefined;
  return (
    <footer className={`status-bar ${phase === 'contact_lost' ? 'stale' : ''}`} aria-label={en.status.label}>
      {idle ? (
        <span>{phase === 'draft' || isOver(phase) ? en.status.idle : en.phase[phase]}</span>
      ) : (
        <>
          <Figure value={isOver(phase) ? '0' : compact(figures.rows_per_s)} width={13} after={en.status.rowsPerSecond} />
          <Figure before={en.status.cpu} value={percent(figures.cpu_percent)} width={11} />
          <Figure before={en.status.memory} value={bytes(figures.memory_bytes)} width={17} />
          {figures.progress !== undefined && <Figure before={en.status.progress} value={percent(figures.progress * 100)} width={12} />}
          {phase === 'contact_lost' && <FiguresAge atMs={figures.at_ms} />}
        </>
      )}
      {reconnecting !== undefined && <Reconnecting sinceMs={reconnecting.since_ms} why={reconnecting.why} />}
      {reconnecting === undefined && reconnects !== undefined && (
        <span className="mute" title={en.status.reconnectsHint}>
          {en.status.reconnects(reconnects)}
        </span>
      )}
      <span className="status-gap" />
      {figures?.bottleneck !== undefined && !isOver(phase) && (
        <button type="button" title={`${figures.bottleneck.node} ${figures.bottleneck.reason}`} onClick={() => selectNode(figures.bottleneck?.node ?? '')}>
          {en.status.slowest} {figures.bottleneck.node}
        </button>
      )}
      {figures !== undefined && figures.late > 0 && <span className="warn">{`${en.status.late} ${count(figures.late)}`}</span>}
      {figures !== undefined && figures.quarantined > 0 && <span className="warn">{`${en.status.quarantined} ${count(figures.quarantined)}`}</span>}
      {firing > 0 && (
        <button
          type="button"
          className="error status-alerts"
          onClick={() => {
            showScreen('pipeline');
            showDock('alerts');
          }}
        >
          <BellRing size={12} aria-hidden /> {en.alerts.firing(firing)}
        </button>
      )}
      {errors + warnings > 0 && (
        <button
          type="button"
          className={errors > 0 ? 'error' : 'warn'}
          onClick={() => {
            showScreen('pipeline');
            showDock('problems');
          }}
        >
          {errors > 0 ? en.inspector.errors(errors) : en.inspector.warnings(warnings)}
        </button>
      )}
      <span className="mute">{version}</span>
    </footer>
  );
}

function Figure({ before = '', value, width, after = '' }: { before?: string; value: string; width: number; after?: string }): ReactElement {
  return (
    <span className="status-figure" style={{ minWidth: `${width}ch` }}>
      {before !== '' && `${before} `}
      <span className="mono status-value">{value}</span>
      {after !== '' && ` ${after}`}
    </span>
  );
}

/** The age of figures that no longer come, counted by the second. */
function FiguresAge({ atMs }: { atMs: number }): ReactElement {
  const now = useNow();
  return <span className="error">{en.status.figuresAge(now - atMs)}</span>;
}

/** How long a dropped connection to the target has been being made again, counted by the second. */
function Reconnecting({ sinceMs, why }: { sinceMs: number; why: string }): ReactElement {
  const now = useNow();
  return (
    <span className="warn" role="status" title={why}>
      {en.status.reconnecting(now - sinceMs)}
    </span>
  );
}

/** The wall clock, once a second. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), 1_000);
    return () => window.clearInterval(timer);
  }, []);
  return now;
}
