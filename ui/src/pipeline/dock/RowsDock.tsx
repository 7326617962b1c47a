import type { ReactElement } from 'react';

import { useNodes, usePhase, useTap } from '../../store/select';
import { edgeKey, portName, type EdgeRef } from '../../store/state';
import { useStore } from '../../store/store';
import { en } from '../../text/en';
import { tellingEdge } from '../inspector/NodeRows';
import { useFreeze, useTapping } from '../inspector/TapTable';
import { RowsTable } from '../RowsTable';

/** The rows of the selected edge, or of the one that tells most of the selected node. */
export function RowsDock(): ReactElement {
  const selection = useStore((state) => state.selection);
  const nodes = useNodes();
  const [node] = selection.nodes;
  const edge = selection.edges[0] ?? (node === undefined ? undefined : tellingEdge(node, nodes));
  const phase = usePhase();
  if (edge === undefined) return <p className="empty">{en.dock.rowsNothing}</p>;
  if (phase === 'draft') return <p className="empty">{en.dock.rowsNotRunning}</p>;
  return <EdgeRows edge={edge} key={edgeKey(edge)} />;
}

function EdgeRows({ edge }: { edge: EdgeRef }): ReactElement {
  useTapping(edge);
  const { shown, frozen, toggle } = useFreeze(useTap(edge));
  if (shown === undefined || shown.rows.length === 0) return <p className="empty">{en.dock.rowsNone}</p>;
  return (
    <div className="rows-dock">
      <div className="rows-head">
        <strong className="mono">{en.dock.rowsOf(portName(edge.from, edge.port), edge.to)}</strong>
        <span className="mute">{frozen ? en.inspector.frozen : en.inspector.sampled}</span>
        <button type="button" className="link-button" aria-pressed={frozen} onClick={toggle}>
          {frozen ? en.inspector.thaw : en.inspector.freeze}
        </button>
      </div>
      <div className="rows-body scroll" tabIndex={0} role="group" aria-label={en.dock.rows}>
        <RowsTable page={shown} />
      </div>
    </div>
  );
}
