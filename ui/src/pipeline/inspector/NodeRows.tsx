import type { ReactElement } from 'react';

import type { GraphNode } from '../../generated/api';
import { edgesOf, useNodeFigures, useNodes } from '../../store/select';
import type { EdgeRef } from '../../store/state';
import { en } from '../../text/en';
import { sentence } from '../../text/format';
import { TapTable } from './TapTable';

/** The edge whose rows tell most of a node: what leaves it, or what reaches a sink. */
export function tellingEdge(id: string, nodes: readonly GraphNode[]): EdgeRef | undefined {
  const edges = edgesOf(nodes);
  return edges.find((edge) => edge.from === id && edge.port === 'out') ?? edges.find((edge) => edge.to === id);
}

/** Live rows beside a node, and what it waits for. */
export function NodeRows({ node }: { node: GraphNode }): ReactElement {
  const nodes = useNodes();
  const edge = tellingEdge(node.id, nodes);
  const waits = useNodeFigures(node.id)?.waits_for;
  return (
    <>
      {edge !== undefined && <TapTable edge={edge} title={en.inspector.edgeTo(edge.to)} key={`${edge.from}.${edge.port}>${edge.to}`} />}
      {waits !== undefined && <p className="inspector-note mute">{sentence(waits)}</p>}
    </>
  );
}
