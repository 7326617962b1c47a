import { applyNodeChanges, type EdgeChange, type NodeChange } from '@xyflow/react';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';

import { edit, select } from '../../store/actions';
import { useNodes } from '../../store/select';
import { portName, type EdgeRef, type Selection } from '../../store/state';
import { getState, useStore } from '../../store/store';
import { en } from '../../text/en';
import { edgeModels, inSide, NODE_HEIGHT, NODE_WIDTH, outSide, type EdgeModel, type Point } from './model';
import type { CardNode } from './NodeCard';
import type { StreamEdgeModel } from './StreamEdge';

interface GraphView {
  nodes: CardNode[];
  edges: StreamEdgeModel[];
  onNodesChange: (changes: NodeChange<CardNode>[]) => void;
  onEdgesChange: (changes: EdgeChange<StreamEdgeModel>[]) => void;
  /** Writes the places of the nodes that were dragged. */
  onDragEnd: () => void;
}

/** The document's graph as React Flow holds it. Positions run ahead of the document only while a node is dragged. */
export function useGraph(): GraphView {
  const graph = useNodes();
  const selection = useStore((state) => state.selection);
  const [nodes, setNodes] = useState<CardNode[]>([]);
  const dragging = useRef(false);

  useEffect(() => {
    const chosen = new Set(selection.nodes);
    const at = (id: string): Point => graph.find((node) => node.id === id)?.position ?? [0, 0];
    setNodes((before) => {
      const known = new Map(before.map((node) => [node.id, node]));
      return graph.map((node) => {
        const old = known.get(node.id);
        const sides = { outSide: outSide(node.id, graph, at), inSide: inSide(node, graph, at) };
        const same = old?.data.node === node && old.data.outSide === sides.outSide && old.data.inSide === sides.inSide;
        const position = dragging.current && old !== undefined ? old.position : { x: node.position[0], y: node.position[1] };
        return {
          ...old,
          id: node.id,
          type: 'card' as const,
          position,
          width: NODE_WIDTH,
          height: NODE_HEIGHT,
          selected: chosen.has(node.id),
          ariaLabel: en.canvas.node(node.id, node.kind),
          data: same ? old.data : { node, ...sides },
        };
      });
    });
  }, [graph, selection]);

  const models = useMemo(() => edgeModels(graph), [graph]);
  const edges = useMemo(() => models.map((edge) => edgeView(edge, selection)), [models, selection]);

  const onNodesChange = useCallback((changes: NodeChange<CardNode>[]) => {
    for (const change of changes) if (change.type === 'position' && change.dragging === true) dragging.current = true;
    setNodes((before) => applyNodeChanges(changes, before));
    selectNodes(changes);
  }, []);

  const onEdgesChange = useCallback(
    (changes: EdgeChange<StreamEdgeModel>[]) => {
      const chosen = new Map(getState().selection.edges.map((edge) => [keyOf(edge, models), edge]));
      let changed = false;
      for (const change of changes) {
        if (change.type !== 'select') continue;
        const model = models.find((edge) => edge.key === change.id);
        changed = true;
        if (change.selected && model !== undefined) chosen.set(change.id, refOf(model));
        else chosen.delete(change.id);
      }
      if (changed) select({ nodes: getState().selection.nodes, edges: [...chosen.values()] });
    },
    [models],
  );

  const onDragEnd = useCallback(() => {
    if (!dragging.current) return;
    dragging.current = false;
    const positions: Record<string, [number, number]> = {};
    for (const node of nodes) {
      const old = graph.find((other) => other.id === node.id);
      const moved: [number, number] = [Math.round(node.position.x), Math.round(node.position.y)];
      if (old !== undefined && (old.position[0] !== moved[0] || old.position[1] !== moved[1])) positions[node.id] = moved;
    }
    if (Object.keys(positions).length > 0) void edit({ edit: 'move_nodes', positions });
  }, [nodes, graph]);

  return { nodes, edges, onNodesChange, onEdgesChange, onDragEnd };
}

function edgeView(edge: EdgeModel, selection: Selection): StreamEdgeModel {
  return {
    id: edge.key,
    type: 'stream',
    source: edge.from,
    sourceHandle: edge.port,
    target: edge.to,
    targetHandle: edge.input ?? 'in',
    selected: selection.edges.some((other) => sameEdge(other, edge)),
    data: { edge },
    ariaLabel: en.canvas.edge(portName(edge.from, edge.port), edge.to),
  };
}

export const sameEdge = (a: EdgeRef, b: EdgeRef): boolean => a.from === b.from && a.port === b.port && a.to === b.to && a.input === b.input;

const keyOf = (edge: EdgeRef, models: readonly EdgeModel[]): string => models.find((model) => sameEdge(model, edge))?.key ?? '';

function refOf(model: EdgeModel): EdgeRef {
  const { key: _, ...edge } = model;
  return edge;
}

function selectNodes(changes: NodeChange<CardNode>[]): void {
  const chosen = new Set(getState().selection.nodes);
  let changed = false;
  for (const change of changes) {
    if (change.type !== 'select') continue;
    changed = true;
    if (change.selected) chosen.add(change.id);
    else chosen.delete(change.id);
  }
  if (changed) select({ nodes: [...chosen], edges: getState().selection.edges });
}
