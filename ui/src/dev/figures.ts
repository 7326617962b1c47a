import type { Alert, ChartInfo, Checkpoint, Figures, GraphNode, NodeFigures, Notice, RowsPage } from '../generated/api';
import { flightColumns } from './catalog';
import type { FakePoint } from './frames';

const START_MS = Date.UTC(2013, 2, 14, 9, 42);

/** Invented figures of the flights pipeline after some ticks, as the target picture has them. */
export function fakeFigures(run: number, tick: number, nodes: readonly GraphNode[]): Figures {
  const wobble = (base: number): number => base + Math.round(Math.sin(tick / 3) * base * 0.01);
  const figures: Figures = {
    run,
    at_ms: Date.now(),
    rows_per_s: wobble(900),
    cpu_percent: 6,
    memory_bytes: 142e6,
    event_clock_ms: START_MS + tick * 60_000,
    watermark_ms: START_MS - 3 * 3_600_000,
    nodes: {},
    edges: [],
    late: 41,
    quarantined: 0,
    checkpoints: fakeCheckpoints(tick),
    parallelism: 2,
    progress: 0.19,
    alerts: fakeAlerts(),
    autoscale: {
      mode: 'advise',
      advice: [{ node: 'hourly', with: [], tasks: 2, wanted: 3, cause: 'hourly is 92 % busy at 450 rows/s a task; for 980 rows/s at 80 % it needs 3 tasks, has 2', asks: { hourly: 3 } }],
    },
    bottleneck: { node: 'hourly', busy_percent: 31, reason: 'is busy 31 % of the time; the nodes before it wait' },
  };
  for (const node of nodes) {
    figures.nodes[node.id] = fakeNode(node, tick, wobble);
    for (const input of node.inputs) {
      const side = input.port !== 'out';
      const slow = input.from === 'hourly';
      figures.edges.push({
        from: input.from,
        port: input.port,
        to: node.id,
        rows: side ? 41 : 64_217,
        bytes_per_s: side ? 0 : slow ? 90 : 61_000,
        rows_per_s: side ? 0 : slow ? 0.2 : wobble(input.from === 'flights' ? 900 : 878),
        ...(slow ? {} : { lag_ms: 3 * 3_600_000 }),
        waiting_percent: 0,
        queued_rows: 0,
      });
    }
  }
  return figures;
}

function fakeAlerts(): Alert[] {
  const one = (name: string, more: Partial<Alert>): Alert => ({
    name,
    figure: 'late',
    rule: '',
    standing: 'quiet',
    since_ms: Date.now() - 400_000,
    value: '41',
    fired: 0,
    desktop: false,
    webhooks: [],
    ...more,
  });
  const hook = { to: 'https://hooks.example', sent: 1, lost: 0 };
  return [
    one('lates', { node: 'hourly', rule: 'late of hourly above 1,000' }),
    one('behind', {
      rule: 'watermark_lag of flights above 10 min',
      standing: 'firing',
      since_ms: Date.now() - 130_000,
      value: '3 h',
      fired: 2,
      desktop: true,
      webhooks: [hook, { to: 'http://10.0.0.7:9000', sent: 0, lost: 2, problem: 'it answered 500, after 4 tries' }],
    }),
    one('busy', { figure: 'busy', node: 'hourly', rule: 'busy of hourly above 30 %', standing: 'pending', since_ms: Date.now() - 4_000, value: '31 %' }),
  ];
}

function fakeCheckpoints(tick: number): Checkpoint[] {
  const one = (epoch: number): Checkpoint => ({
    epoch,
    at_ms: Date.now() - (8 - epoch) * 10_000,
    aligning_ms: 3.1 + epoch,
    writing_ms: 8.4,
    manifest_ms: 4.2,
    commit_ms: 11.9,
    bytes: 61_000 + epoch * 900,
    waited_for: { node: 'hourly', task: 1, after_ms: 3.1 + epoch },
    outcome: 'complete',
  });
  const failed: Checkpoint = { ...one(5), writing_ms: 41, manifest_ms: 0, commit_ms: 0, outcome: 'failed', cause: 'hourly (task 1): No space left on device' };
  return tick === 0 ? [] : [one(1), one(2), one(3), one(4), failed, one(6), one(7)];
}

function fakeNode(node: GraphNode, tick: number, wobble: (base: number) => number): NodeFigures {
  const window = node.kind.endsWith('window');
  const sink = node.outputs.length === 0 || node.kind === 'dashboard' || node.kind === 'file_sink';
  const filtered = node.kind === 'filter' ? 1_333 : 0;
  const late = window ? 41 : 0;
  const read = sink ? (node.id === 'late' ? 41 : 1_204) : 64_217 + tick * 450;
  return {
    read,
    accepted: read - filtered - late,
    filtered,
    late,
    late_after_idle: 0,
    quarantined: 0,
    rows_out: read - filtered - late,
    in_per_s: sink ? 0.2 : wobble(900),
    out_per_s: window ? 0.2 : sink ? 0 : wobble(node.kind === 'filter' ? 878 : 900),
    busy_percent: window ? 31 : node.kind === 'file' ? 4 : sink ? 0 : 1,
    blocked_percent: 0,
    tasks: 2,
    watermark_ms: START_MS - 3 * 3_600_000,
    lag_ms: 3 * 3_600_000 + Math.sin(tick / 5) * 600_000,
    watermark_still_ms: 400,
    open_windows: window ? 9 : 0,
    ...(window ? { next_window_end_ms: Date.UTC(2013, 2, 14, 10), waits_for: 'window 09:00–10:00 closes when the watermark reaches 16:00; now 09:42, held by flights (max_delay 3 h).' } : {}),
    state_rows: window ? 27 : 0,
    state_bytes: window ? 4_096 : 0,
    state_disk_bytes: 0,
    ...(node.kind === 'file' ? { progress: 0.19 } : {}),
    ...(window ? { skew: { ratio: 1.8, task: 1 } } : {}),
  };
}

const samples = [
  ['03-14 12:35', 'B6', 'JFK', '-4'],
  ['03-14 12:40', 'UA', 'EWR', '12'],
  ['03-14 12:29', 'DL', 'LGA', '21'],
  ['03-14 12:45', 'AA', 'JFK', '0'],
  ['03-14 11:55', 'EV', 'EWR', '58'],
  ['03-14 12:50', 'US', 'LGA', null],
  ['03-14 12:45', 'B6', 'JFK', '3'],
  ['03-14 12:30', 'UA', 'EWR', '27'],
] as const;

export function fakeRows(): RowsPage {
  const shown = ['scheduled', 'carrier', 'origin', 'dep_delay'];
  const rest = flightColumns.filter((column) => !shown.includes(column.name));
  const first = shown.flatMap((name) => flightColumns.filter((column) => column.name === name));
  return {
    columns: [...first, ...rest],
    rows: samples.map((row) => [`2013-${row[0]}:00`, ...row.slice(1), ...rest.map((column) => (column.type === 'VARCHAR' ? '<b>x</b>' : '1'))]),
    total: 64_217,
  };
}

export function fakeCharts(nodes: readonly GraphNode[], rows: number): ChartInfo[] {
  return nodes
    .filter((node) => node.kind === 'dashboard')
    .map((node) => ({
      node: node.id,
      title: node.id === 'chart' ? 'Mean departure delay by origin' : node.id,
      mark: 'line' as const,
      x: { column: 'window_start', kind: 'time' as const, unit: '' },
      y: { column: 'mean_delay', kind: 'number' as const, unit: 'minutes' },
      series: rows === 0 ? [] : [
        { name: 'EWR', latest: 14.2 },
        { name: 'JFK', latest: 9.8 },
        { name: 'LGA', latest: 11.5 },
      ],
      rows,
      dropped_rows: 0,
      ...(rows === 0 ? { waits_for: 'First window closes at 11:00; watermark 08:42, held by flights (max_delay 3 h).' } : {}),
    }));
}

export const fakeSeries = ['EWR', 'JFK', 'LGA'];

/** Hourly means of an invented week, more in the evening. */
export function fakePoints(): FakePoint[] {
  const start = Date.UTC(2013, 2, 8);
  return Array.from({ length: 149 * 3 }, (_, index) => {
    const [hour, series] = [Math.floor(index / 3), index % 3];
    const day = Math.sin(((hour % 24) / 24) * Math.PI * 2 - 2.2);
    const noise = Math.sin(hour * 12.9 + series * 78.2) * 43_758.5;
    return { x: start + hour * 3_600_000, y: Math.max(0, 11 + 9 * day + (noise - Math.floor(noise)) * 9 - series * 2), series };
  });
}

export function fakeChartRows(offset: number, limit: number): RowsPage {
  const total = 447;
  const origins = ['EWR', 'JFK', 'LGA'];
  const rows = Array.from({ length: Math.max(0, Math.min(limit, total - offset)) }, (_, index) => {
    const row = total - offset - limit + index;
    const at = new Date(Date.UTC(2013, 2, 8) + Math.floor(row / 3) * 3_600_000).toISOString();
    return [at.slice(0, 19).replace('T', ' '), origins[((row % 3) + 3) % 3] ?? '', (14 + Math.sin(row / 9) * 9).toFixed(1)];
  });
  return {
    columns: [
      { name: 'window_start', type: 'TIMESTAMP' },
      { name: 'origin', type: 'VARCHAR' },
      { name: 'mean_delay', type: 'DOUBLE' },
    ],
    rows,
    total,
  };
}

export const fakeNotices = (run: number): Notice[] => {
  const at = Date.now();
  const notice = (id: number, ago: number, severity: Notice['severity'], kind: string, message: string, node?: string, count = 1): Notice => ({
    id: run * 100 + id,
    at_ms: at - ago * 1_000,
    severity,
    kind,
    message,
    count,
    ...(node === undefined ? {} : { node }),
  });
  return [
    notice(1, 71, 'info', 'started', 'The run began on this computer, with 2 tasks for each node.'),
    notice(2, 64, 'warning', 'late_rows', 'Rows came after their window had closed: more than 3 h out of order and 6 h of allowed lateness.', 'hourly', 41),
    notice(3, 22, 'error', 'bad_records', 'Records could not be read: `dep_delay` holds text where a number belongs. They left by the port quarantined.', 'flights', 128),
    notice(4, 9, 'warning', 'slow_sink', 'late takes 100 rows/s (its own `rate`) and holds the others back.', 'late', 6),
  ];
};
