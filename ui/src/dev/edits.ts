import type { Edit } from '../generated/api';
import { readFile, type FakeFile, type FakeNode } from './toml';

/** Carries out edits on the file; gives the names of the nodes that they made. */
export function applyEdits(file: FakeFile, edits: readonly Edit[]): string[] {
  return edits.flatMap((edit) => applyEdit(file, edit));
}

const nodeOf = (file: FakeFile, id: string): FakeNode => {
  const node = file.nodes.find((other) => other.id === id);
  if (node === undefined) throw new Error(`There is no node ${id}.`);
  return node;
};

const alertOf = (file: FakeFile, name: string): FakeFile['alerts'][number] => {
  const alert = file.alerts.find((other) => other.name === name);
  if (alert === undefined) throw new Error(`There is no alert ${name}.`);
  return alert;
};

function freeName(file: FakeFile, wanted: string): string {
  const taken = new Set(file.nodes.map((node) => node.id));
  for (let number = 1; ; number++) {
    const name = number === 1 ? wanted : `${wanted}_${number}`;
    if (!taken.has(name)) return name;
  }
}

function references(input: unknown): string[] {
  if (typeof input === 'string') return [input];
  if (Array.isArray(input)) return input as string[];
  return typeof input === 'object' && input !== null ? (Object.values(input) as string[]) : [];
}

/** Every reference through a function; undefined takes it away. */
function mapInput(input: unknown, change: (reference: string) => string | undefined): unknown {
  if (typeof input === 'string') return change(input);
  if (Array.isArray(input)) return (input as string[]).map(change).filter((item) => item !== undefined);
  if (typeof input === 'object' && input !== null) {
    const entries = Object.entries(input as Record<string, string>).map(([name, item]) => [name, change(item)] as const);
    return Object.fromEntries(entries.filter(([, item]) => item !== undefined));
  }
  return undefined;
}

function setAt(table: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key, ...rest] = path;
  if (key === undefined) return;
  if (rest.length > 0) {
    const inner = typeof table[key] === 'object' && table[key] !== null ? (table[key] as Record<string, unknown>) : {};
    table[key] = inner;
    setAt(inner, rest, value);
  } else if (value === undefined) Reflect.deleteProperty(table, key);
  else table[key] = value;
}

function connect(node: FakeNode, from: string, many: boolean, input?: string): void {
  if (input !== undefined) node.input = { ...(node.input as object | undefined), [input]: from };
  else if (many) node.input = [...references(node.input), from];
  else node.input = from;
}

function applyEdit(file: FakeFile, edit: Edit): string[] {
  switch (edit.edit) {
    case 'add_node': {
      const id = freeName(file, edit.kind.replace(/_window$/, ''));
      const node: FakeNode = { id, kind: edit.kind, input: undefined, fields: {} };
      if (edit.from !== undefined) connect(node, edit.from, edit.kind === 'union', edit.input);
      file.nodes.push(node);
      file.layout[id] = edit.at;
      return [id];
    }
    case 'remove_nodes':
      for (const id of edit.nodes) {
        file.nodes = file.nodes.filter((node) => node.id !== id);
        Reflect.deleteProperty(file.layout, id);
        for (const node of file.nodes) node.input = mapInput(node.input, (from) => (from.split('.')[0] === id ? undefined : from));
      }
      return [];
    case 'rename_node': {
      if (file.nodes.some((node) => node.id === edit.name)) throw new Error(`The name ${edit.name} is taken.`);
      nodeOf(file, edit.node).id = edit.name;
      for (const node of file.nodes) {
        node.input = mapInput(node.input, (from) => (from.split('.')[0] === edit.node ? from.replace(edit.node, edit.name) : from));
      }
      const at = file.layout[edit.node];
      if (at !== undefined) file.layout[edit.name] = at;
      Reflect.deleteProperty(file.layout, edit.node);
      return [edit.name];
    }
    case 'set_field':
      setAt(nodeOf(file, edit.node).fields, edit.path, edit.value);
      return [];
    case 'set_pipeline_field':
      setAt(file.settings, edit.path, edit.value);
      return [];
    case 'add_alert':
      file.alerts.push({ name: String(edit.fields['figure']), fields: { ...edit.fields } });
      return [];
    case 'set_alert_field':
      setAt(alertOf(file, edit.alert).fields, edit.path, edit.value);
      return [];
    case 'rename_alert':
      alertOf(file, edit.alert).name = edit.name;
      return [];
    case 'remove_alert':
      file.alerts = file.alerts.filter((alert) => alert.name !== edit.alert);
      return [];
    case 'connect':
      connect(nodeOf(file, edit.to), edit.from, nodeOf(file, edit.to).kind === 'union', edit.input);
      return [];
    case 'disconnect': {
      const node = nodeOf(file, edit.to);
      node.input = mapInput(node.input, (from) => (from === edit.from ? undefined : from));
      return [];
    }
    case 'move_nodes':
      for (const [id, at] of Object.entries(edit.positions)) file.layout[id] = at;
      return [];
    case 'paste':
      return readFile(edit.text).nodes.map((node, index) => add(file, node, [edit.at[0] + index * 24, edit.at[1] + index * 24]));
    case 'duplicate':
      return edit.nodes.map((id) => {
        const at = file.layout[id] ?? [0, 0];
        return add(file, structuredClone(nodeOf(file, id)), [at[0] + edit.offset[0], at[1] + edit.offset[1]]);
      });
  }
}

function add(file: FakeFile, node: FakeNode, at: [number, number]): string {
  const id = freeName(file, node.id);
  file.nodes.push({ ...node, id });
  file.layout[id] = at;
  return id;
}
