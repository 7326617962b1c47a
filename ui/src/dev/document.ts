import type { Column, Document, Finding, GraphInput, GraphNode, GraphPort, Guarantee } from '../generated/api';
import { fakeCatalog, flightColumns } from './catalog';
import { writeValue, type FakeFile, type FakeNode } from './toml';

type Rest = Pick<Document, 'dirty' | 'revision' | 'can_undo' | 'can_redo' | 'cause' | 'new_nodes'>;

export function fakeDocument(file: FakeFile, text: string, rest: Rest): Document {
  const nodes: GraphNode[] = [];
  const columns = new Map<string, Column[]>();
  file.nodes.forEach((node, index) => nodes.push(graphNode(file, node, index, text, columns)));
  return {
    path: '/home/ada/flights/departures.millrace.toml',
    name: typeof file.settings['name'] === 'string' ? file.settings['name'] : 'untitled',
    root: '/home/ada/flights',
    text,
    graph: {
      settings: file.settings,
      nodes,
      alerts: file.alerts.map(({ name, fields }) => ({ name, fields, lines: { first: 1, last: 1 } })),
      touches: file.nodes.flatMap((node) => {
        const path = node.fields['path'];
        return typeof path === 'string' ? [{ node: node.id, kind: node.kind === 'file' ? 'reads' : 'writes', what: path } as const] : [];
      }),
    },
    findings: nodes.flatMap((node) => findings(node, text)),
    changed_lines: [],
    ...rest,
  };
}

function graphNode(file: FakeFile, node: FakeNode, index: number, text: string, columns: Map<string, Column[]>): GraphNode {
  const kind = fakeCatalog.kinds.find((other) => other.name === node.kind);
  const inputs = inputsOf(node.input);
  const upstream = columns.get(inputs[0]?.from ?? '') ?? flightColumns;
  const own = node.kind.endsWith('window') ? windowColumns(node, upstream) : upstream;
  columns.set(node.id, own);
  const outputs: GraphPort[] = kind?.has_output === true ? [{ name: 'out', columns: own, mode: 'append' }] : [];
  for (const port of kind?.side_ports ?? []) outputs.push({ name: port.name, columns: upstream, mode: 'append' });
  const lines = text.split('\n');
  const first = lines.indexOf(`[node.${node.id}]`) + 1;
  const next = lines.findIndex((line, at) => at >= first && line.startsWith('['));
  return {
    id: node.id,
    kind: node.kind,
    position: file.layout[node.id] ?? [index * 260, 0],
    inputs,
    fields: node.fields,
    key_setting: keySetting(node, kind?.key_fields ?? []),
    outputs,
    guarantees: guarantees(node),
    explanations: node.kind === 'filter' ? { where: { type: 'BOOLEAN' } } : {},
    lines: { first, last: next < 0 ? lines.length : next },
  };
}

function guarantees(node: FakeNode): Guarantee[] {
  if (node.kind === 'dashboard') return [{ source: 'flights', delivery: 'at_least_once', needs: ['rows since the last epoch come again'] }];
  if (node.kind === 'file_sink') return [{ source: 'flights', delivery: 'exactly_once', needs: ['what was read of the files is there unchanged, else the run ends and says so'] }];
  return [];
}

function windowColumns(node: FakeNode, upstream: Column[]): Column[] {
  const times = ['window_start', 'window_end', 'window_time'].map((name) => ({ name, type: 'TIMESTAMP' }));
  const by = Array.isArray(node.fields['by']) ? (node.fields['by'] as string[]) : [];
  const keys = by.flatMap((name) => upstream.filter((column) => column.name === name));
  const aggregates = Object.keys(node.fields['aggregate'] ?? {}).map((name) => ({ name, type: 'DOUBLE' }));
  return [...times, ...keys, ...aggregates];
}

function keySetting(node: FakeNode, keys: readonly string[]): string {
  if (node.kind === 'dashboard') {
    const plot = node.fields['plot'] as Record<string, string> | undefined;
    return plot === undefined ? '' : `${plot['y'] ?? ''} by ${plot['series'] ?? plot['x'] ?? ''}`;
  }
  const value = keys.map((key) => node.fields[key]).find((field) => field !== undefined);
  const text = typeof value === 'string' ? value : value === undefined ? '' : writeValue(value);
  const by = node.fields['by'];
  return Array.isArray(by) ? `${text} by ${by.join(', ')}` : text;
}

function inputsOf(input: unknown): GraphInput[] {
  const read = (reference: string, name?: string): GraphInput => {
    const [from = '', port = 'out'] = reference.split('.');
    return name === undefined ? { from, port } : { name, from, port };
  };
  if (typeof input === 'string') return [read(input)];
  if (Array.isArray(input)) return (input as string[]).map((item) => read(item));
  if (typeof input === 'object' && input !== null) return Object.entries(input as Record<string, string>).map(([name, item]) => read(item, name));
  return [];
}

function findings(node: GraphNode, text: string): Finding[] {
  const kind = fakeCatalog.kinds.find((other) => other.name === node.kind);
  const finding = (field: string, message: string, more: Partial<Finding> = {}): Finding => {
    const line = Math.max(1, text.split('\n').findIndex((row, at) => at >= node.lines.first && at < node.lines.last && row.startsWith(field)) + 1 || node.lines.first);
    const start = text.split('\n').slice(0, line - 1).join('\n').length + 1;
    return { code: 'MR0104', severity: 'error', message, node: node.id, field, line, column: 1, start, end: start + (text.split('\n')[line - 1]?.length ?? 0), ...more };
  };
  const required = (kind?.schema as { required?: string[] } | undefined)?.required ?? [];
  const found = required.filter((field) => node.fields[field] === undefined).map((field) => finding(field, `\`${field}\` is missing`));
  if (kind?.inputs.take === 'one' && node.inputs.length === 0) found.push(finding('input', 'it has no input'));
  const where = node.fields['where'];
  if (typeof where === 'string' && where.includes('dep_dely')) {
    found.push(finding('where', 'there is no column `dep_dely`', { expected: 'a column of flights', found: 'dep_dely', nearest: 'dep_delay' }));
  }
  return found;
}
