import { useState, type ReactElement } from 'react';

import { Stepper } from '../../app/Stepper';
import { placesOf, spread, whereText } from '../../cluster/select';
import type { GraphNode, NodeFigures } from '../../generated/api';
import { MOST_TASKS, rescaleNode } from '../../store/actions';
import { isSkewed, useKind, useNodeFigures, usePhase } from '../../store/select';
import type { Trail } from '../../store/state';
import { useStore } from '../../store/store';
import { en } from '../../text/en';
import { bytes, count, eventTime, percent, rate, sentence, span, times } from '../../text/format';
import { Guarantees } from './Guarantees';
import { LoadAdvice } from './LoadAdvice';
import { RowSums } from './RowSums';
import { Sparkline } from './Sparkline';

/** A node's figures: rates as lines, the sum of its rows, time, state. */
export function NodeMetrics({ node }: { node: GraphNode }): ReactElement {
  const figures = useNodeFigures(node.id);
  const trail = useStore((state) => state.trails[node.id]);
  const kind = useKind(node.kind);
  return (
    <>
      {figures !== undefined && trail !== undefined && <Lines figures={figures} trail={trail} source={kind?.inputs.take === 'none'} sink={kind?.has_output === false} />}
      <RowSums id={node.id} />
      {figures !== undefined && <Facts id={node.id} figures={figures} />}
      <Guarantees node={node} />
    </>
  );
}

interface LinesProps {
  figures: NodeFigures;
  trail: Trail;
  source: boolean;
  sink: boolean;
}

function Lines({ figures, trail, source, sink }: LinesProps): ReactElement {
  return (
    <div className="metric-lines">
      {!source && <Line label={en.inspector.rateIn} value={rate(figures.in_per_s)} values={trail.in} />}
      {!sink && <Line label={en.inspector.rateOut} value={rate(figures.out_per_s)} values={trail.out} />}
      <Line label={en.inspector.busy} value={percent(figures.busy_percent)} values={trail.busy} />
      {figures.lag_ms !== undefined && <Line label={en.inspector.lag} value={span(figures.lag_ms)} values={trail.lag} />}
    </div>
  );
}

function Line({ label, value, values }: { label: string; value: string; values: readonly number[] }): ReactElement {
  return (
    <div className="metric-line">
      <span>{label}</span>
      <Sparkline values={values} label={`${label}: ${value}`} />
      <span className="number">{value}</span>
    </div>
  );
}

/** How many tasks run the node, and how it goes on in more or fewer. */
function Tasks({ id, now }: { id: string; now: number }): ReactElement {
  const phase = usePhase();
  const kept = useStore((state) => state.run?.kept === true);
  const [wanted, setWanted] = useState<number | undefined>();
  if (phase !== 'running') return <>{count(now)}</>;
  const act = (): void => {
    setWanted(undefined);
    if (wanted !== undefined) void rescaleNode(id, wanted);
  };
  const step = (by: number): void => {
    const next = Math.min(Math.max((wanted ?? now) + by, 1), MOST_TASKS);
    setWanted(next === now ? undefined : next);
  };
  return <Stepper label={en.change.ofNode} now={now} wanted={wanted} rest={count(now)} title={en.change.ofNode} step={step} act={act} refused={kept ? undefined : en.change.notKept} />;
}

function Facts({ id, figures }: { id: string; figures: NodeFigures }): ReactElement {
  const cluster = useStore((state) => state.cluster);
  const places = placesOf(cluster, id);
  const facts: [string, string][] = [
    [en.inspector.rowsOut, count(figures.rows_out)],
    [en.inspector.blocked, percent(figures.blocked_percent)],
    [en.inspector.watermark, figures.watermark_ms === undefined ? en.inspector.none : eventTime(figures.watermark_ms)],
  ];
  if (figures.watermark_still_ms !== undefined) facts.push([en.inspector.watermarkStill, span(figures.watermark_still_ms)]);
  if (figures.skew !== undefined) {
    const { ratio, task } = figures.skew;
    facts.push([en.alerts.skewLabel, isSkewed(figures) ? en.alerts.skewOf(times(ratio), task) : en.alerts.skewEven(times(ratio))]);
  }
  if (figures.open_windows > 0) facts.push([en.inspector.openWindows, count(figures.open_windows)]);
  if (figures.next_window_end_ms !== undefined) facts.push([en.inspector.nextWindow, eventTime(figures.next_window_end_ms)]);
  if (figures.state_rows > 0) facts.push([en.inspector.state, en.inspector.stateRows(count(figures.state_rows), bytes(figures.state_bytes))]);
  if (figures.state_disk_bytes > 0) facts.push([en.inspector.stateOnDisk, bytes(figures.state_disk_bytes)]);
  if (figures.progress !== undefined) facts.push([en.inspector.progress, percent(figures.progress * 100)]);
  return (
    <section className="inspector-section">
      <table className="sums">
        <tbody>
          {facts.map(([label, value]) => (
            <tr key={label}>
              <th scope="row">{label}</th>
              <td className="number">{value}</td>
            </tr>
          ))}
          <tr>
            <th scope="row">{en.inspector.tasks}</th>
            <td className="number">
              <Tasks key={id} id={id} now={figures.tasks} />
            </td>
          </tr>
        </tbody>
      </table>
      <LoadAdvice id={id} />
      {figures.skew !== undefined && isSkewed(figures) && <p className="inspector-note warn">{en.alerts.skewHelp(times(figures.skew.ratio), figures.skew.task)}</p>}
      {cluster !== undefined && places !== undefined && <p className="inspector-note mute">{sentence(whereText(cluster.nodes, spread(places)))}</p>}
      {figures.waits_for !== undefined && <p className="inspector-note mute">{sentence(figures.waits_for)}</p>}
    </section>
  );
}
