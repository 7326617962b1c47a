import type { Catalog, Column, KindInfo } from '../generated/api';

const text = (format: string, description: string): object => ({ type: 'string', format, description });
const optional = (schema: object): object => ({ anyOf: [schema, { type: 'null' }] });

const duration = (description: string): object => optional(text('duration', description));
const column = (description: string): object => text('column', description);
const by = { type: 'array', items: { type: 'string', format: 'column' }, description: 'One result for each value of these columns.' };
const aggregate = { type: 'object', additionalProperties: { type: 'string', format: 'aggregate' }, description: 'Each new column, and how it is made.' };
const object = (properties: object, required: string[] = []): object => ({ type: 'object', properties, required });

const emit = {
  description: 'When results leave.',
  anyOf: [
    { type: 'string', enum: ['on_close', 'on_update'] },
    { type: 'object', properties: { every: text('duration', 'Early results this often.') }, required: ['every'] },
  ],
};

const windowFields = { by, aggregate, allowed_lateness: duration('Rows this late still count.'), emit };

const one = { take: 'one' } as const;
const none = { take: 'none' } as const;
const late = { name: 'late', summary: 'Rows that came after their last window had closed.' };
const quarantined = { name: 'quarantined', summary: 'Rows that could not be read or computed, with the reason.' };

const kind = (
  name: string,
  title: string,
  category: string,
  icon: string,
  summary: string,
  rest: Partial<KindInfo> & { schema: object },
): KindInfo => ({ name, title, category, icon, summary, inputs: one, has_output: true, side_ports: [quarantined], key_fields: [], ...rest });

const kinds: KindInfo[] = [
  kind('file', 'File', 'source', 'file', 'Reads a CSV, JSON Lines or Parquet file.', {
    inputs: none,
    key_fields: ['path'],
    schema: object(
      {
        path: text('path', 'A file, or a pattern for several.'),
        format: optional({ type: 'string', enum: ['csv', 'jsonl', 'parquet'], description: 'By the ending if absent.' }),
        schema: optional({ type: 'object', additionalProperties: { type: 'string' }, description: 'Columns and their types.' }),
        follow: { type: ['boolean', 'null'], description: 'Go on reading as the file grows.' },
      },
      ['path'],
    ),
  }),
  kind('host_metrics', 'This machine', 'source', 'cpu', 'CPU, memory, disk and network of this machine.', {
    inputs: none,
    key_fields: ['every'],
    schema: object({ every: text('duration', 'How often it looks.') }, ['every']),
  }),
  kind('stdin', 'Standard input', 'source', 'terminal', 'Reads lines from the standard input.', {
    inputs: none,
    key_fields: ['format'],
    schema: object({ format: { type: 'string', enum: ['csv', 'jsonl'] } }, ['format']),
  }),
  kind('filter', 'Filter', 'shape', 'funnel', 'Keeps the rows for which a condition holds.', {
    key_fields: ['where'],
    schema: object({ where: text('expression', 'Rows for which this is true pass.') }, ['where']),
  }),
  kind('derive', 'Derive', 'shape', 'square-function', 'Adds columns.', {
    key_fields: ['columns'],
    schema: object({ columns: { type: 'object', additionalProperties: { type: 'string', format: 'expression' } } }, ['columns']),
  }),
  kind('select', 'Select', 'shape', 'columns-3', 'Keeps, renames and computes columns.', {
    key_fields: ['columns'],
    schema: object({ columns: { type: 'array', items: { type: 'string', format: 'expression' } } }, ['columns']),
  }),
  kind('union', 'Union', 'shape', 'merge', 'Takes the rows of several inputs.', { inputs: { take: 'many' }, schema: object({}) }),
  kind('tumbling_window', 'Tumbling window', 'window', 'chart-column', 'Windows of one size, one after the other.', {
    side_ports: [late, quarantined],
    key_fields: ['size'],
    schema: object({ size: text('duration', 'How long a window is.'), offset: duration('Shifts where windows begin.'), ...windowFields }, ['size', 'aggregate']),
  }),
  kind('hopping_window', 'Hopping window', 'window', 'chart-bar-stacked', 'Windows that overlap.', {
    side_ports: [late, quarantined],
    key_fields: ['size'],
    schema: object({ size: text('duration', 'How long a window is.'), slide: text('duration', 'How far the next one begins.'), ...windowFields }, ['size', 'slide']),
  }),
  kind('session_window', 'Session window', 'window', 'chart-gantt', 'Windows that end after a silence.', {
    side_ports: [late, quarantined],
    key_fields: ['gap'],
    schema: object({ gap: text('duration', 'The silence that ends a session.'), ...windowFields }, ['gap']),
  }),
  kind('dashboard', 'Dashboard', 'sink', 'chart-line', 'Plots the rows that reach it.', {
    has_output: false,
    key_fields: ['plot'],
    schema: object({
      plot: object(
        {
          x: column('The horizontal axis.'),
          y: column('The vertical axis.'),
          series: optional(column('One line for each value.')),
          mark: optional({ type: 'string', enum: ['line', 'bar'] }),
        },
        ['x', 'y'],
      ),
    }),
  }),
  kind('file_sink', 'File', 'sink', 'file-output', 'Writes the rows to a file.', {
    has_output: false,
    key_fields: ['path'],
    schema: object({ path: text('path', 'Where to write.'), format: optional({ type: 'string', enum: ['csv', 'jsonl', 'parquet'] }) }, ['path']),
  }),
];

export const fakeCatalog: Catalog = {
  kinds,
  common_schema: object({
    on_error: optional({
      description: 'What happens to a row whose value cannot be computed.',
      oneOf: [
        { const: 'quarantine', description: 'The row leaves by the `quarantined` port with the reason.' },
        { const: 'null', description: 'The value becomes NULL.' },
        { const: 'fail', description: 'The pipeline fails.' },
      ],
    }),
    parallelism: { type: ['integer', 'null'], minimum: 1, maximum: 1024, description: 'How many tasks run this node.' },
    renamed_from: { type: ['string', 'null'], description: "The node's earlier name, whose state it takes over." },
  }),
  source_schema: object({
    event_time: {
      description: 'The column that says when a row happened.',
      anyOf: [
        { type: 'string', format: 'column' },
        object({ column: column(''), format: { type: ['string', 'null'] }, unit: optional({ type: 'string', enum: ['s', 'ms', 'us', 'ns'] }) }, ['column']),
        { type: 'null' },
      ],
    },
    max_delay: duration('How far out of order rows may come.'),
    max_ahead: duration('A time further ahead than this is quarantined.'),
    idle_after: duration('After this long without a row the source no longer holds the watermark back.'),
    replay: optional(object({ by: optional(column('Paces the rows.')), speed: text('speed', 'How much faster than the clock.') }, ['speed'])),
    time_zone: optional(text('time-zone', 'The zone of times that name none.')),
  }),
  sink_schema: object({ rate: optional(text('rate', 'Takes no more rows than this.')) }),
  pipeline_schema: object({
    name: { type: 'string' },
    checkpoint_every: duration('How often state is saved.'),
    parallelism: { type: ['integer', 'null'], minimum: 1, maximum: 1024, description: 'Tasks of each node.' },
  }),
  alert_schema: object(
    {
      figure: {
        description: 'What is watched.',
        oneOf: ['rows_in', 'late', 'watermark_lag', 'busy', 'checkpoint_age', 'run_state'].map((name) => ({ const: name, description: '' })),
      },
      node: { type: ['string', 'null'], description: "The node whose figure it is; the whole pipeline's if absent." },
      above: optional({ anyOf: [{ type: 'number' }, { type: 'string' }] }),
      below: optional({ anyOf: [{ type: 'number' }, { type: 'string' }] }),
      is: optional({ type: 'string', enum: ['starting', 'running', 'draining', 'finished', 'stopped', 'failed'] }),
      until: optional({ anyOf: [{ type: 'number' }, { type: 'string' }] }),
      for: duration('How long it must hold.'),
      notify: { type: 'array', items: { type: 'string' } },
    },
    ['figure'],
  ),
  run_figures: ['checkpoint_age', 'run_state'],
  functions: [
    { name: 'avg', signature: 'avg(x) -> DOUBLE', summary: 'The mean.', is_aggregate: true },
    { name: 'count', signature: 'count(*) -> BIGINT', summary: 'How many rows.', is_aggregate: true },
    { name: 'quantile', signature: 'quantile(x, q) -> DOUBLE', summary: 'The value below which a share q lies.', is_aggregate: true },
    { name: 'max', signature: 'max(x)', summary: 'The greatest.', is_aggregate: true },
    { name: 'coalesce', signature: 'coalesce(a, b, ...)', summary: 'The first that is not NULL.', is_aggregate: false },
    { name: 'round', signature: 'round(x, digits) -> DOUBLE', summary: 'Rounds half away from zero.', is_aggregate: false },
    { name: 'lower', signature: 'lower(s VARCHAR) -> VARCHAR', summary: 'In small letters.', is_aggregate: false },
    { name: 'abs', signature: 'abs(x)', summary: 'Without its sign.', is_aggregate: false },
  ],
  types: ['BOOLEAN', 'BIGINT', 'DOUBLE', 'VARCHAR', 'TIMESTAMP'],
};

export const flightColumns: Column[] = [
  ['scheduled', 'TIMESTAMP'],
  ['reported', 'TIMESTAMP'],
  ['carrier', 'VARCHAR'],
  ['flight', 'INTEGER'],
  ['origin', 'VARCHAR'],
  ['dest', 'VARCHAR'],
  ['tailnum', 'VARCHAR'],
  ['dep_delay', 'DOUBLE'],
  ['arr_delay', 'DOUBLE'],
  ['air_time', 'DOUBLE'],
  ['distance', 'DOUBLE'],
  ['hour', 'INTEGER'],
].map(([name = '', type = '']) => ({ name, type }));
