/** A small reader and writer of the pipeline file for the fake studio. The real one keeps comments and order; this one does not. */

export interface FakeNode {
  id: string;
  kind: string;
  input: unknown;
  fields: Record<string, unknown>;
}

export interface FakeFile {
  settings: Record<string, unknown>;
  nodes: FakeNode[];
  alerts: { name: string; fields: Record<string, unknown> }[];
  layout: Record<string, [number, number]>;
}

export class TomlError extends Error {
  constructor(
    readonly line: number,
    message: string,
  ) {
    super(message);
  }
}

class Reader {
  at = 0;
  constructor(
    readonly text: string,
    readonly line: number,
  ) {}

  peek(): string {
    while (this.text[this.at] === ' ') this.at++;
    return this.text[this.at] ?? '';
  }

  take(expected: string): void {
    if (this.peek() !== expected) throw new TomlError(this.line, `expected \`${expected}\``);
    this.at++;
  }

  value(): unknown {
    const next = this.peek();
    if (next === '"') return this.string();
    if (next === '[') return this.list();
    if (next === '{') return this.table();
    const word = /^[^,\]}#]+/.exec(this.text.slice(this.at))?.[0].trim() ?? '';
    this.at += word.length;
    if (word === 'true' || word === 'false') return word === 'true';
    const number = Number(word);
    if (word === '' || Number.isNaN(number)) throw new TomlError(this.line, `\`${word}\` is not a value; text needs quotes`);
    return number;
  }

  string(): string {
    const match = /^"(?:[^"\\]|\\.)*"/.exec(this.text.slice(this.at));
    if (match === null) throw new TomlError(this.line, 'the text is not closed by a quote');
    this.at += match[0].length;
    return JSON.parse(match[0]) as string;
  }

  list(): unknown[] {
    this.take('[');
    const items: unknown[] = [];
    while (this.peek() !== ']') {
      items.push(this.value());
      if (this.peek() === ',') this.at++;
      else break;
    }
    this.take(']');
    return items;
  }

  table(): Record<string, unknown> {
    this.take('{');
    const table: Record<string, unknown> = {};
    while (this.peek() !== '}') {
      const key = this.key();
      this.take('=');
      table[key] = this.value();
      if (this.peek() === ',') this.at++;
      else break;
    }
    this.take('}');
    return table;
  }

  key(): string {
    if (this.peek() === '"') return this.string();
    const key = /^[A-Za-z0-9_-]+/.exec(this.text.slice(this.at))?.[0] ?? '';
    if (key === '') throw new TomlError(this.line, 'expected a name');
    this.at += key.length;
    return key;
  }
}

export function readFile(text: string): FakeFile {
  const file: FakeFile = { settings: {}, nodes: [], alerts: [], layout: {} };
  let table: Record<string, unknown> = {};
  text.split('\n').forEach((raw, index) => {
    const line = raw.trim();
    const number = index + 1;
    if (line === '' || line.startsWith('#')) return;
    const header = /^\[([A-Za-z0-9_.-]+)\]/.exec(line)?.[1];
    if (header !== undefined) table = tableOf(file, header);
    else {
      const reader = new Reader(line, number);
      const key = reader.key();
      reader.take('=');
      table[key] = reader.value();
      const rest = reader.peek();
      if (rest !== '' && rest !== '#') throw new TomlError(number, `unexpected \`${rest}\` after the value`);
    }
  });
  for (const node of file.nodes) {
    const { kind, input, ...fields } = node.fields;
    Object.assign(node, { kind: typeof kind === 'string' ? kind : '', input, fields });
  }
  return file;
}

function tableOf(file: FakeFile, header: string): Record<string, unknown> {
  if (header === 'pipeline') return file.settings;
  if (header === 'layout') return file.layout;
  if (header.startsWith('alert.')) {
    const alert = { name: header.slice('alert.'.length), fields: {} };
    file.alerts.push(alert);
    return alert.fields;
  }
  const node: FakeNode = { id: header.replace(/^node\./, ''), kind: '', input: undefined, fields: {} };
  file.nodes.push(node);
  return node.fields;
}

const bare = (key: string): string => (/^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key));

export function writeValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(writeValue).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, inner]) => `${bare(key)} = ${writeValue(inner)}`);
    return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
  }
  return JSON.stringify(value);
}

const writeTable = (table: Record<string, unknown>): string[] => Object.entries(table).map(([key, value]) => `${bare(key)} = ${writeValue(value)}`);

export function writeNode(node: FakeNode): string {
  const input = node.input === undefined ? [] : [`input = ${writeValue(node.input)}`];
  return [`[node.${node.id}]`, `kind = "${node.kind}"`, ...input, ...writeTable(node.fields)].join('\n');
}

export function writeFile(file: FakeFile): string {
  const parts = ['millrace = 1', ['[pipeline]', ...writeTable(file.settings)].join('\n'), ...file.nodes.map(writeNode), ...file.alerts.map(({ name, fields }) => [`[alert.${name}]`, ...writeTable(fields)].join('\n'))];
  if (Object.keys(file.layout).length > 0) parts.push(['[layout]', ...writeTable(file.layout)].join('\n'));
  return `${parts.join('\n\n')}\n`;
}
