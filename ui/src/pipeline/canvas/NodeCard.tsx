import { CircleAlert, Network, TriangleAlert } from 'lucide-react';
import { Handle, Position, useConnection, useUpdateNodeInternals, type Node, type NodeProps } from '@xyflow/react';
import { memo, useEffect, type ReactElement } from 'react';

import { Icon } from '../../app/Icon';
import type { Finding, GraphNode, KindInfo, NodeFigures } from '../../generated/api';
import { isOver, isSkewed, phaseOf, useKind, useNodeChanged, useNodeFigures, useNodeFindings, usePhase } from '../../store/select';
import { useStore } from '../../store/store';
import { en } from '../../text/en';
import { bytes, compact, count, percent, rate, times } from '../../text/format';
import { Words } from '../../text/Words';
import { GuaranteeMark, weakest } from '../inspector/Guarantees';
import { placesOf, spread, whereText } from '../../cluster/select';
import { inputNames, keySetting, type InSide, type OutSide } from './model';

export type CardNode = Node<{ node: GraphNode; outSide: OutSide; inSide: InSide }, 'card'>;

/** One node: 200 by 72, whatever it shows. */
export const NodeCard = memo(function NodeCard({ data, selected }: NodeProps<CardNode>): ReactElement {
  const { node, outSide, inSide } = data;
  const kind = useKind(node.kind);
  const findings = useNodeFindings(node.id);
  const stale = usePhase() === 'contact_lost';
  const changed = useNodeChanged(node.id);
  const slowest = useStore((state) => state.figures?.bottleneck?.node === node.id && !isOver(phaseOf(state))) && !changed;
  // What ended the run stands on its node, too, unless the text is wrong to begin with.
  const failure = useStore((state) => (state.run?.phase === 'failed' && state.run.cause?.node === node.id ? state.run.cause : undefined));
  const error = findings.find((finding) => finding.severity === 'error') ?? failure;
  usePorts(node, inSide, outSide);

  const classes = ['node-card'];
  if (selected) classes.push('selected');
  if (error !== undefined) classes.push('has-error');
  else if (slowest) classes.push('slowest');
  if (stale) classes.push('stale');
  return (
    <div className={classes.join(' ')} data-node={node.id} title={error === undefined ? undefined : messages(findings.length > 0 ? findings : [error])}>
      <InputPorts kind={kind} side={inSide} />
      <div className="node-line">
        <Icon name={kind?.icon ?? ''} />
        <strong className="node-name">{node.id}</strong>
        <Where id={node.id} />
        {error === undefined && !slowest && <SkewMark id={node.id} />}
        {slowest && error === undefined && <span className="node-chip slowest">{en.canvas.slowest}</span>}
        {error !== undefined && <CircleAlert className="error node-mark" size={14} aria-hidden />}
        {error === undefined && findings.length > 0 && <TriangleAlert className="warn node-mark" size={14} aria-hidden />}
        {changed && error === undefined && !slowest && (
          <span className="node-changed" title={en.canvas.changed}>
            <span className="unseen">{en.canvas.changed}</span>
          </span>
        )}
      </div>
      <div className="node-line mono">
        <span className="node-setting">{keySetting(node) || (kind?.title ?? `${en.canvas.unknownKind} ${node.kind}`)}</span>
        <StateSize id={node.id} />
      </div>
      <div className="node-line node-last">
        {error === undefined ? (
          <LastLine node={node} kind={kind} />
        ) : (
          <span className="error node-error">
            <Words text={error.message} />
          </span>
        )}
      </div>
      <OutputPorts node={node} kind={kind} side={outSide} />
    </div>
  );
});

const messages = (findings: readonly Finding[]): string => findings.map((finding) => finding.message).join('\n');

/** React Flow measures ports once; it has to be told when they change places. */
function usePorts(node: GraphNode, inSide: InSide, outSide: OutSide): void {
  const update = useUpdateNodeInternals();
  const ports = node.outputs.length;
  useEffect(() => update(node.id), [update, node.id, inSide, outSide, ports]);
}

function LastLine({ node, kind }: { node: GraphNode; kind: KindInfo | undefined }): ReactElement {
  const figures = useNodeFigures(node.id);
  const over = useStore((state) => isOver(state.run?.phase ?? 'draft'));
  if (figures === undefined) {
    const columns = node.outputs[0]?.columns;
    if (kind?.has_output === false) return <Sink title={kind.title} node={node} />;
    return <span>{columns === undefined ? en.canvas.columnsUnknown : en.canvas.columns(columns.length)}</span>;
  }
  return (
    <>
      {!(figures.late > 0 && figures.quarantined > 0) && <span className="node-rate">{rateText(figures, kind, over)}</span>}
      <NodeEnd figures={figures} over={over} />
    </>
  );
}

/** A sink at rest: what it is, and the weakest of its guarantees. */
function Sink({ title, node }: { title: string; node: GraphNode }): ReactElement {
  const delivery = weakest(node.guarantees);
  return (
    <>
      <span className="node-rate">{title}</span>
      {delivery !== undefined && <GuaranteeMark delivery={delivery} />}
    </>
  );
}

/** On how many nodes of the cluster its tasks are, where they are not all at the leader. */
function Where({ id }: { id: string }): ReactElement | null {
  const cluster = useStore((state) => (state.run === null || isOver(state.run.phase) ? undefined : state.cluster));
  const counts = spread(placesOf(cluster, id) ?? []);
  if (cluster === undefined || counts.size === 0 || (counts.size === 1 && counts.has(0))) return null;
  return (
    <span className="node-where" title={whereText(cluster.nodes, counts)}>
      <Network size={11} aria-hidden />
      <span className="unseen">{whereText(cluster.nodes, counts)}</span>
      <span aria-hidden>{counts.size}</span>
    </span>
  );
}

/** That one of its tasks gets far more rows than the others. */
function SkewMark({ id }: { id: string }): ReactElement | null {
  const figures = useNodeFigures(id);
  const over = useStore((state) => isOver(phaseOf(state)));
  if (figures?.skew === undefined || over || !isSkewed(figures)) return null;
  const { ratio, task } = figures.skew;
  return (
    <span className="node-chip node-skew" title={en.alerts.skewHelp(times(ratio), task)}>
      {en.alerts.skew(times(ratio))}
    </span>
  );
}

/** What a node holds, in bytes, beside its setting. */
function StateSize({ id }: { id: string }): ReactElement | null {
  const figures = useNodeFigures(id);
  if (figures === undefined || figures.state_bytes + figures.state_disk_bytes === 0) return null;
  const disk = figures.state_disk_bytes > 0 ? bytes(figures.state_disk_bytes) : undefined;
  return (
    <span className="node-state" title={en.canvas.stateOf(count(figures.state_rows), bytes(figures.state_bytes), disk)}>
      {disk === undefined ? bytes(figures.state_bytes) : en.canvas.stateAndDisk(bytes(figures.state_bytes), disk)}
    </span>
  );
}

function rateText(figures: NodeFigures, kind: KindInfo | undefined, over: boolean): string {
  const sink = kind?.has_output === false;
  if (over) return en.canvas.rows(sink ? figures.accepted : figures.rows_out);
  if (sink) return figures.in_per_s < 0.05 ? en.canvas.rows(figures.accepted) : en.canvas.rowsPerSecond(compact(figures.in_per_s));
  // Beside its open windows a rate is written as on a wire: both fit then, with a chip too.
  return figures.open_windows > 0
    ? `${rate(figures.out_per_s)} · ${en.canvas.open(compact(figures.open_windows))}`
    : en.canvas.rowsPerSecond(compact(figures.out_per_s));
}

/** Chips for what went astray, else how busy it is. */
function NodeEnd({ figures, over }: { figures: NodeFigures; over: boolean }): ReactElement | null {
  if (figures.late > 0 || figures.quarantined > 0) {
    return (
      <span className="node-chips">
        {figures.late > 0 && <span className="node-chip">{en.canvas.late(compact(figures.late))}</span>}
        {figures.quarantined > 0 && <span className="node-chip">{en.canvas.quarantined(compact(figures.quarantined))}</span>}
      </span>
    );
  }
  if (over) return null;
  return figures.blocked_percent >= 10 ? (
    <span className="node-busy warn">{en.canvas.waiting(percent(figures.blocked_percent))}</span>
  ) : (
    <span className="node-busy">{en.canvas.busy(percent(figures.busy_percent))}</span>
  );
}

function InputPorts({ kind, side }: { kind: KindInfo | undefined; side: InSide }): ReactElement {
  const names = inputNames(kind);
  return (
    <>
      {names.map((name, index) => (
        <Handle
          key={name ?? ''}
          id={name ?? 'in'}
          type="target"
          position={side === 'top' && names.length === 1 ? Position.Top : Position.Left}
          className="port"
          style={names.length > 1 ? { top: `${((index + 1) / (names.length + 1)) * 100}%` } : {}}
          aria-label={name === undefined ? en.canvas.input : en.canvas.inputNamed(name)}
        >
          {name !== undefined && <span className="port-label in">{name}</span>}
        </Handle>
      ))}
    </>
  );
}

/** Where the side ports stand along the bottom, in hundredths of the width. */
const SIDE_PLACES = [78, 22, 36, 64];

function OutputPorts({ node, kind, side }: { node: GraphNode; kind: KindInfo | undefined; side: OutSide }): ReactElement {
  const wiring = useConnection((connection) => connection.inProgress);
  const sides = kind?.side_ports ?? [];
  return (
    <>
      {kind?.has_output !== false && (
        <Handle id="out" type="source" position={side === 'bottom' ? Position.Bottom : Position.Right} className="port" aria-label={en.canvas.output} />
      )}
      {sides.map((port, index) => (
        <SidePort key={port.name} node={node.id} name={port.name} summary={port.summary} place={SIDE_PLACES[index] ?? 50} dim={wiring} />
      ))}
    </>
  );
}

interface SidePortProps {
  node: string;
  name: string;
  summary: string;
  place: number;
  dim: boolean;
}

/** A hollow port: seen where it is wired or has something to say, else only when the node is looked at. */
function SidePort({ node, name, summary, place, dim }: SidePortProps): ReactElement {
  const wired = useStore(
    (state) => state.document?.graph.nodes.some((other) => other.inputs.some((input) => input.from === node && input.port === name)) === true,
  );
  return (
    <Handle
      id={name}
      type="source"
      position={Position.Bottom}
      className={`port side ${wired ? 'wired' : ''} ${dim ? 'dim' : ''}`}
      style={{ left: `${place}%` }}
      title={summary}
      aria-label={en.canvas.port(name)}
    >
      <span className="port-label out">{name}</span>
    </Handle>
  );
}
