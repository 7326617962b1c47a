import { useEffect, useMemo, useRef, type ReactElement } from 'react';

import { FormProvider, type FormContext } from '../../form/context';
import { Field } from '../../form/Field';
import { DraftInput } from '../../form/inputs';
import { fieldsOf, type FieldInfo } from '../../form/schema';
import type { Catalog, Column, GraphNode, KindInfo } from '../../generated/api';
import { edit, rename } from '../../store/actions';
import { useKind, useNodeFindings, useNodes, usePhase, useReadOnly } from '../../store/select';
import { NO_CATALOG } from '../../store/state';
import { useStore } from '../../store/store';
import { en } from '../../text/en';
import { Guarantees } from './Guarantees';
import { NodeRows } from './NodeRows';
import { RowSums } from './RowSums';

const NAME = /^[a-z0-9_-]{1,64}$/;

/** A node's name and its form; under it, while it runs, what its rows did. */
export function NodeSettings({ node }: { node: GraphNode }): ReactElement {
  const kind = useKind(node.kind);
  const form = useNodeForm(node);
  const phase = usePhase();
  return (
    <FormProvider value={form}>
      <div className="form">
        <NameField node={node} />
        {kind === undefined ? <p className="form-finding error">{en.inspector.unknownKind(node.kind)}</p> : <Fields node={node} kind={kind} />}
        <OwnFindings />
      </div>
      <Guarantees node={node} />
      {phase !== 'draft' && <RowSums id={node.id} />}
      {phase !== 'draft' && <NodeRows node={node} />}
    </FormProvider>
  );
}

function useNodeForm(node: GraphNode): FormContext {
  const findings = useNodeFindings(node.id);
  const readOnly = useReadOnly();
  const nodes = useNodes();
  return useMemo(() => {
    const { columns, from } = inputColumns(node, nodes);
    return {
      node: node.id,
      columns,
      columnsFrom: from,
      findings,
      explanations: node.explanations,
      readOnly,
      commit: (path, value) => void edit({ edit: 'set_field', node: node.id, path: [...path], ...(value === undefined ? {} : { value }) }),
    };
  }, [node, nodes, findings, readOnly]);
}

/** The columns that a node's fields may name: its inputs', or for a source its own. */
export function inputColumns(node: GraphNode, nodes: readonly GraphNode[]): { columns: readonly Column[]; from: string } {
  if (node.inputs.length === 0) return { columns: node.outputs[0]?.columns ?? [], from: node.id };
  const seen = new Map<string, Column>();
  for (const input of node.inputs) {
    const port = nodes.find((other) => other.id === input.from)?.outputs.find((output) => output.name === input.port);
    for (const column of port?.columns ?? []) if (!seen.has(column.name)) seen.set(column.name, column);
  }
  return { columns: [...seen.values()], from: node.inputs.map((input) => input.from).join(', ') };
}

function NameField({ node }: { node: GraphNode }): ReactElement {
  const element = useRef<HTMLDivElement>(null);
  const renaming = useStore((state) => state.renaming);
  const nodes = useNodes();
  useEffect(() => {
    if (renaming.node !== node.id) return;
    const input = element.current?.querySelector('input');
    input?.focus();
    input?.select();
  }, [renaming, node.id]);
  const refuse = (name: string): string | undefined => {
    if (!NAME.test(name)) return en.inspector.nameRule;
    return nodes.some((other) => other.id === name && other.id !== node.id) ? en.inspector.nameTaken : undefined;
  };
  return (
    <div className="form-field name-field" ref={element}>
      <label htmlFor="node-name">{en.inspector.name}</label>
      <DraftInput id="node-name" mono={false} text={node.id} refuse={refuse} commit={(name) => void rename(node.id, name)} />
      <kbd className="name-key" aria-hidden>
        F2
      </kbd>
    </div>
  );
}

/** Common fields that are rarely touched, and stay folded until one is set. */
const RARE = ['parallelism', 'renamed_from'];

function Fields({ node, kind }: { node: GraphNode; kind: KindInfo }): ReactElement {
  const catalog = useStore((state) => state.welcome?.catalog ?? NO_CATALOG);
  const { own, time, sink, common, rare } = useMemo(() => sections(kind, catalog), [kind, catalog]);
  const show = (field: FieldInfo): ReactElement => <Field key={field.name} field={field} path={[field.name]} value={node.fields[field.name]} />;
  const rareSet = rare.some((field) => node.fields[field.name] !== undefined);
  return (
    <>
      {own.map(show)}
      {time.length > 0 && <h3 className="section-title">{en.form.time}</h3>}
      {time.map(show)}
      {sink.map(show)}
      {common.map(show)}
      {rare.length > 0 && (
        <details className="form-more" open={rareSet}>
          <summary>{en.form.more}</summary>
          <div className="form">{rare.map(show)}</div>
        </details>
      )}
    </>
  );
}

function sections(kind: KindInfo, catalog: Catalog) {
  const own = fieldsOf(kind.schema);
  const names = new Set(own.map((field) => field.name));
  const others = (schema: unknown): FieldInfo[] => fieldsOf(schema).filter((field) => !names.has(field.name));
  const shared = others(catalog.common_schema);
  return {
    own,
    time: kind.category === 'source' ? others(catalog.source_schema) : [],
    sink: kind.category === 'sink' ? others(catalog.sink_schema) : [],
    common: shared.filter((field) => !RARE.includes(field.name)),
    rare: shared.filter((field) => RARE.includes(field.name)),
  };
}

/** What is wrong with the node as a whole, or with a field that the form does not show. */
function OwnFindings(): ReactElement | null {
  const shown = useStore((state) => state.document?.findings);
  const selected = useStore((state) => state.selection.nodes[0]);
  const own = shown?.filter((finding) => finding.node === selected && (finding.field === undefined || finding.field === 'input' || finding.field === 'kind')) ?? [];
  if (own.length === 0) return null;
  return (
    <ul>
      {own.map((finding) => (
        <li key={`${finding.code}${finding.message}`} className={`form-finding ${finding.severity}`} role="alert">
          {finding.message} {finding.help ?? ''}
        </li>
      ))}
    </ul>
  );
}
