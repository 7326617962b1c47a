import '@xyflow/react/dist/base.css';
import './canvas.css';

import {
  Background,
  BackgroundVariant,
  ConnectionLineType,
  MiniMap,
  Panel,
  ReactFlow,
  useNodesInitialized,
  useReactFlow,
  useStore as useFlow,
  type Connection,
  type FinalConnectionState,
  type ReactFlowState,
} from '@xyflow/react';
import { Maximize, Minus, Plus } from 'lucide-react';
import { useCallback, useEffect, useRef, useState, type ReactElement } from 'react';

import { edit, selectNode, selectNothing } from '../../store/actions';
import { useReadOnly } from '../../store/select';
import { toast } from '../../store/session';
import { portName, type EdgeRef } from '../../store/state';
import { getState, useStore } from '../../store/store';
import { en } from '../../text/en';
import { AddMenu } from './AddMenu';
import { freeInput, NODE_HEIGHT, NODE_WIDTH, refuses } from './model';
import { NodeCard } from './NodeCard';
import { StreamEdge, type StreamEdgeModel } from './StreamEdge';
import { useCanvasCommands } from './useCanvasCommands';
import { useGraph } from './useGraph';

const nodeTypes = { card: NodeCard };
const edgeTypes = { stream: StreamEdge };
/** Room for the strip and a label above, and for the buttons below. */
const fit = () => ({ maxZoom: 1, minZoom: 0.4, padding: { top: window.innerHeight < 760 ? '60px' : '76px', right: '28px', bottom: '46px', left: '28px' } }) as const;
const SNAP: [number, number] = [4, 4];

interface Dropped {
  from: string;
  /** Within the canvas. */
  x: number;
  y: number;
  at: [number, number];
}

const kindOf = (name: string) => getState().welcome?.catalog.kinds.find((kind) => kind.name === name);

export function Canvas(): ReactElement {
  const { nodes, edges, onNodesChange, onEdgesChange, onDragEnd } = useGraph();
  const readOnly = useReadOnly();
  const element = useRef<HTMLDivElement>(null);
  const [dropped, setDropped] = useState<Dropped | undefined>(undefined);
  const { screenToFlowPosition, flowToScreenPosition, fitView } = useReactFlow();
  const empty = useStore((state) => state.document?.graph.nodes.length === 0);
  const opened = useStore(({ document }) => (document === undefined ? undefined : `${document.path ?? ''} ${document.root}`));
  useCanvasCommands(element);

  // A pipeline that was just opened is shown whole; one that begins empty, or is saved elsewhere, stays where it is.
  const measured = useNodesInitialized();
  const fitted = useRef<string | undefined>(undefined);
  useEffect(() => {
    if (opened === undefined || fitted.current === opened) return;
    const stays = empty || (fitted.current !== undefined && getState().document?.cause === 'saved');
    if (!stays && !measured) return;
    fitted.current = opened;
    if (!stays) void fitView(fit());
  }, [empty, measured, opened, fitView]);

  // What an edit made is never out of sight.
  const made = useStore((state) => state.document?.new_nodes);
  useEffect(() => {
    const box = element.current?.getBoundingClientRect();
    if (!measured || made === undefined || made.length === 0 || box === undefined) return;
    const hidden = graphNodes().some(({ id, position: [x, y] }) => {
      if (!made.includes(id)) return false;
      const start = flowToScreenPosition({ x, y });
      const end = flowToScreenPosition({ x: x + NODE_WIDTH, y: y + NODE_HEIGHT });
      return start.x < box.left || start.y < box.top || end.x > box.right || end.y > box.bottom;
    });
    if (hidden) void fitView(fit());
  }, [made, measured, fitView, flowToScreenPosition]);

  const connect = useCallback((connection: Connection) => void wire(edgeOf(connection)), []);
  const valid = useCallback((connection: Connection | StreamEdgeModel) => refuses(edgeOf(connection), graphNodes(), kindOf) === undefined, []);
  const reconnect = useCallback((old: StreamEdgeModel, connection: Connection) => void rewire(old, edgeOf(connection)), []);

  const connectEnd = useCallback(
    (event: MouseEvent | TouchEvent, state: FinalConnectionState) => {
      if (state.isValid === true || state.fromHandle?.type !== 'source' || state.fromNode === null) return;
      const point = 'changedTouches' in event ? event.changedTouches[0] : event;
      const box = element.current?.getBoundingClientRect();
      if (point === undefined || box === undefined) return;
      const under = document.elementFromPoint(point.clientX, point.clientY);
      const port = state.fromHandle.id ?? 'out';
      const onNode = under?.closest<HTMLElement>('.react-flow__node')?.dataset['id'];
      if (onNode !== undefined) {
        wireToNode(state.fromNode.id, port, onNode);
        return;
      }
      if (element.current?.contains(under) !== true) return;
      const at = screenToFlowPosition({ x: point.clientX, y: point.clientY });
      setDropped({
        from: portName(state.fromNode.id, port),
        x: Math.min(point.clientX - box.left, box.width - 236),
        y: Math.min(point.clientY - box.top, Math.max(0, box.height - 300)),
        at: [Math.round(at.x), Math.round(at.y - 36)],
      });
    },
    [screenToFlowPosition],
  );
  const closeMenu = useCallback(() => setDropped(undefined), []);

  return (
    <div
      ref={element}
      className={`canvas ${readOnly ? 'read-only' : ''}`}
      onKeyDown={(event) => {
        const id = event.target instanceof HTMLElement ? event.target.closest<HTMLElement>('.react-flow__node')?.dataset['id'] : undefined;
        if (event.key === 'Enter' && !event.ctrlKey && !event.metaKey && id !== undefined) selectNode(id);
      }}
    >
      <ReactFlow
        aria-label={en.canvas.label}
        nodes={nodes}
        edges={edges}
        nodeTypes={nodeTypes}
        edgeTypes={edgeTypes}
        onNodesChange={onNodesChange}
        onEdgesChange={onEdgesChange}
        onNodeDragStop={onDragEnd}
        onSelectionDragStop={onDragEnd}
        onPaneClick={selectNothing}
        onConnect={connect}
        onConnectEnd={connectEnd}
        onReconnect={reconnect}
        isValidConnection={valid}
        connectionLineType={ConnectionLineType.Bezier}
        connectionRadius={28}
        nodesDraggable={!readOnly}
        nodesConnectable={!readOnly}
        edgesReconnectable={!readOnly}
        snapToGrid
        snapGrid={SNAP}
        minZoom={0.25}
        maxZoom={2}
        deleteKeyCode={null}
        multiSelectionKeyCode={['Shift', 'Meta', 'Control']}
        disableKeyboardA11y
        zoomOnDoubleClick={false}
        elevateNodesOnSelect={false}
        proOptions={{ hideAttribution: true }}
      >
        <Background variant={BackgroundVariant.Dots} gap={20} size={1.4} />
        <Overview />
        <ZoomButtons />
      </ReactFlow>
      {empty && !readOnly && (
        <div className="empty canvas-empty">
          <h2>{en.canvas.empty}</h2>
          <p>{en.canvas.emptyHint}</p>
        </div>
      )}
      {dropped !== undefined && (
        <AddMenu
          x={dropped.x}
          y={dropped.y}
          close={closeMenu}
          choose={(kind) => {
            closeMenu();
            void addAfterWire(kind, dropped);
          }}
        />
      )}
    </div>
  );
}

const graphNodes = () => getState().document?.graph.nodes ?? [];

function edgeOf(connection: Connection | StreamEdgeModel): EdgeRef {
  const edge: EdgeRef = { from: connection.source, port: connection.sourceHandle ?? 'out', to: connection.target };
  const input = connection.targetHandle;
  if (input !== null && input !== undefined && input !== 'in') edge.input = input;
  return edge;
}

const wireEdit = (edge: EdgeRef, what: 'connect' | 'disconnect') => ({
  edit: what,
  from: portName(edge.from, edge.port),
  to: edge.to,
  ...(edge.input === undefined ? {} : { input: edge.input }),
});

async function wire(edge: EdgeRef): Promise<void> {
  await edit(wireEdit(edge, 'connect'));
}

async function rewire(old: StreamEdgeModel, edge: EdgeRef): Promise<void> {
  await edit(wireEdit(edgeOf(old), 'disconnect'), wireEdit(edge, 'connect'));
}

/** A wire that was dropped on a node's body takes the node's free input. */
function wireToNode(from: string, port: string, to: string): void {
  const node = graphNodes().find((other) => other.id === to);
  if (node === undefined || from === to) return;
  const { free, input } = freeInput(node, kindOf(node.kind));
  const edge: EdgeRef = { from, port, to, ...(input === undefined ? {} : { input }) };
  const refusal = free ? refuses(edge, graphNodes(), kindOf) : 'taken';
  if (refusal === undefined) void wire(edge);
  else if (refusal === 'cycle') toast('warning', en.canvas.cycle);
  else if (refusal === 'taken') toast('warning', en.canvas.taken);
}

async function addAfterWire(kind: string, dropped: Dropped): Promise<void> {
  const inputs = kindOf(kind)?.inputs;
  const input = inputs?.take === 'named' ? inputs.names[0] : undefined;
  await edit({ edit: 'add_node', kind, at: dropped.at, from: dropped.from, ...(input === undefined ? {} : { input }) });
}

/** Whether part of a node is out of sight. */
function reachesOut({ width, height, transform: [x, y, zoom], nodeLookup }: ReactFlowState): boolean {
  for (const { internals } of nodeLookup.values()) {
    const left = internals.positionAbsolute.x * zoom + x;
    const top = internals.positionAbsolute.y * zoom + y;
    if (left < 0 || top < 0 || left + NODE_WIDTH * zoom > width || top + NODE_HEIGHT * zoom > height) return true;
  }
  return false;
}

/** The whole graph in small, where not all of it is in view: else it would only cover nodes. */
function Overview(): ReactElement | null {
  const shown = useFlow(reachesOut);
  if (!shown) return null;
  return <MiniMap className="overview" pannable zoomable ariaLabel={en.canvas.minimap} style={{ width: 120, height: 72 }} nodeBorderRadius={8} />;
}

function ZoomButtons(): ReactElement {
  const { zoomIn, zoomOut, fitView } = useReactFlow();
  return (
    <Panel position="bottom-left" className="zoom-buttons">
      <button type="button" className="icon-button" aria-label={en.canvas.zoomIn} title={en.canvas.zoomIn} onClick={() => void zoomIn()}>
        <Plus size={14} aria-hidden />
      </button>
      <button type="button" className="icon-button" aria-label={en.canvas.zoomOut} title={en.canvas.zoomOut} onClick={() => void zoomOut()}>
        <Minus size={14} aria-hidden />
      </button>
      <button type="button" className="icon-button" aria-label={en.canvas.fit} title={en.canvas.fit} onClick={() => void fitView(fit())}>
        <Maximize size={13} aria-hidden />
      </button>
    </Panel>
  );
}
