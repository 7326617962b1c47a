import './inspector.css';
import '../../form/form.css';

import type { ReactElement } from 'react';

import { duplicateSelection, removeSelection } from '../../store/actions';
import { useNode, useReadOnly } from '../../store/select';
import type { InspectorTab } from '../../store/state';
import { setState, useStore } from '../../store/store';
import { en } from '../../text/en';
import { Tabs } from '../Tabs';
import { EdgeInspector } from './EdgeInspector';
import { NodeMetrics } from './NodeMetrics';
import { NodeSettings } from './NodeSettings';
import { PipelineSettings } from './PipelineSettings';

const PANEL = 'inspector-panel';
const NODE_TABS: readonly { id: InspectorTab; title: string }[] = [
  { id: 'settings', title: en.inspector.settings },
  { id: 'metrics', title: en.inspector.metrics },
];

/** What is selected, in full: a node, an edge, several, or the pipeline itself. */
export function Inspector(): ReactElement {
  const selection = useStore((state) => state.selection);
  const [edge] = selection.edges;
  const one = selection.nodes.length === 1 && selection.edges.length === 0;
  return (
    <aside className="inspector" aria-label={en.inspector.label}>
      {one ? (
        <NodeInspector id={selection.nodes[0] ?? ''} />
      ) : edge !== undefined && selection.edges.length === 1 && selection.nodes.length === 0 ? (
        <EdgeInspector edge={edge} />
      ) : selection.nodes.length + selection.edges.length > 1 ? (
        <ManyInspector nodes={selection.nodes.length} />
      ) : (
        <PipelineSettings />
      )}
    </aside>
  );
}

function NodeInspector({ id }: { id: string }): ReactElement | null {
  const node = useNode(id);
  const tab = useStore((state) => state.inspector);
  if (node === undefined) return null;
  return (
    <>
      <Tabs label={en.inspector.label} tabs={NODE_TABS} shown={tab} show={(inspector) => setState({ inspector })} panel={PANEL}>
        <span className="mono inspector-kind">{node.kind}</span>
      </Tabs>
      <div id={PANEL} role="tabpanel" className="inspector-body scroll" key={node.id}>
        {tab === 'settings' ? <NodeSettings node={node} /> : <NodeMetrics node={node} />}
      </div>
    </>
  );
}

function ManyInspector({ nodes }: { nodes: number }): ReactElement {
  const readOnly = useReadOnly();
  return (
    <>
      <div className="tabs inspector-title">
        <h2>{en.canvas.selected(nodes)}</h2>
      </div>
      <div className="inspector-body scroll">
        <p className="mute">{en.inspector.manySelected}</p>
        <div className="inspector-buttons">
          <button type="button" className="button" disabled={readOnly} onClick={() => void duplicateSelection()}>
            {en.inspector.duplicate}
          </button>
          <button type="button" className="button" disabled={readOnly} onClick={() => void removeSelection()}>
            {en.inspector.removeNodes}
          </button>
        </div>
      </div>
    </>
  );
}
