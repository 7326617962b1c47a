import { BaseEdge, EdgeLabelRenderer, getBezierPath, useInternalNode, type Edge, type EdgeProps } from '@xyflow/react';
import { memo, type ReactElement } from 'react';

import type { EdgeFigures } from '../../generated/api';
import { crossesNodes, isOver, useEdgeFigures, usePhase } from '../../store/select';
import { useStore } from '../../store/store';
import { en } from '../../text/en';
import { bytes, percent, rate, span } from '../../text/format';
import { thickness, type EdgeModel } from './model';

export type StreamEdgeModel = Edge<{ edge: EdgeModel }, 'stream'>;

/** From this share on an edge counts as blocked, in hundredths. */
const BLOCKED_PERCENT = 10;
const LABEL_WIDTH = 132;

export const StreamEdge = memo(function StreamEdge(props: EdgeProps<StreamEdgeModel>): ReactElement | null {
  const { data, selected = false } = props;
  if (data === undefined) return null;
  return <Stream {...props} edge={data.edge} selected={selected} />;
});

function Stream(props: EdgeProps<StreamEdgeModel> & { edge: EdgeModel; selected: boolean }): ReactElement {
  const { edge, selected } = props;
  const figures = useEdgeFigures(edge);
  const phase = usePhase();
  const live = figures !== undefined && !isOver(phase);
  const crosses = useStore((state) => crossesNodes(state, edge));
  const blocked = live && figures.waiting_percent >= BLOCKED_PERCENT;
  const [path, middleX, middleY] = getBezierPath(props);
  const top = useTop(props);
  const side = edge.port !== 'out';

  const classes = ['stream'];
  if (side) classes.push('side');
  if (selected) classes.push('selected');
  if (blocked) classes.push('blocked');
  const width = live ? thickness(figures.rows_per_s) : 1.5;
  return (
    <>
      <BaseEdge id={props.id} path={path} className={classes.join(' ')} style={{ strokeWidth: width }} interactionWidth={20} />
      {live && (figures.rows_per_s >= 0.05 || blocked) && (
        <EdgeLabel {...labelPlace(props, middleX, middleY, top)} figures={figures} blocked={blocked} stale={phase === 'contact_lost'} crosses={crosses} />
      )}
    </>
  );
}

/** The upper edge of the higher of the two nodes that an edge joins. */
function useTop({ source, target }: { source: string; target: string }): number {
  const from = useInternalNode(source)?.internals.positionAbsolute.y ?? 0;
  const to = useInternalNode(target)?.internals.positionAbsolute.y ?? 0;
  return Math.min(from, to);
}

interface Ends {
  sourceX: number;
  sourceY: number;
  targetX: number;
  targetY: number;
}

/** Beside a wire that goes down; above one that goes right, and above the nodes where there is no room between them. */
function labelPlace(ends: Ends, middleX: number, middleY: number, top: number): { x: number; y: number; align: 'centre' | 'start' } {
  const across = Math.abs(ends.targetX - ends.sourceX);
  const down = Math.abs(ends.targetY - ends.sourceY);
  if (down > across && across < 24) return { x: middleX + 14, y: middleY, align: 'start' };
  if (across < LABEL_WIDTH && down < 40) return { x: middleX, y: top - 20, align: 'centre' };
  return { x: middleX, y: down < 24 ? middleY - 12 : middleY, align: 'centre' };
}

interface LabelProps {
  x: number;
  y: number;
  align: 'centre' | 'start';
  figures: EdgeFigures;
  blocked: boolean;
  stale: boolean;
  /** Whether it goes over a link between nodes: then what that carries stands in place of the lag. */
  crosses: boolean;
}

function EdgeLabel({ x, y, align, figures, blocked, stale, crosses }: LabelProps): ReactElement {
  const lag = crosses ? ` · ${en.canvas.bytesPerSecond(bytes(figures.bytes_per_s))}` : figures.lag_ms !== undefined && figures.lag_ms > 0 ? ` · ${en.canvas.lag(span(figures.lag_ms))}` : '';
  const text = blocked ? en.canvas.waiting(percent(figures.waiting_percent)) : `${rate(figures.rows_per_s)}${lag}`;
  const shift = align === 'centre' ? 'translate(-50%, -50%)' : 'translate(0, -50%)';
  return (
    <EdgeLabelRenderer>
      <div
        className={`edge-label ${align} ${blocked ? 'blocked' : ''} ${stale ? 'stale' : ''}`}
        style={{ transform: `${shift} translate(${x}px, ${y}px)`, width: LABEL_WIDTH }}
        data-testid="edge-label"
      >
        <span>{text}</span>
      </div>
    </EdgeLabelRenderer>
  );
}
