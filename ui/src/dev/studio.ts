import type { Adapter, Listener } from '../adapter/adapter';
import type { ApiError, ClientMessage, Cluster, Document, DocumentCause, Edit, Event, Reply, Request, RunInfo, RunPhase, TextDiff } from '../generated/api';
import { fakeCatalog } from './catalog';
import { NODE } from './cluster';
import { fakeDocument } from './document';
import { applyEdits } from './edits';
import { fakeChartRows, fakeCharts, fakeFigures, fakeNotices, fakePoints, fakeRows, fakeSeries } from './figures';
import { chartFrame } from './frames';
import { readFile, TomlError, writeFile, writeNode, type FakeFile } from './toml';

const HOME: Reply = {
  reply: 'home',
  value: {
    recent: [
      { path: '/home/ada/flights/departures.millrace.toml', name: 'departures by origin', opened_at_ms: Date.now() - 3_600_000, exists: true },
      { path: '/home/ada/orders/fraud.millrace.toml', name: 'card fraud', opened_at_ms: Date.now() - 3 * 86_400_000, exists: true },
      { path: '/home/ada/old/<b>gone</b>.millrace.toml', name: 'gone', opened_at_ms: Date.now() - 9 * 86_400_000, exists: false },
    ],
    samples: [
      { id: 'departures-2013', title: 'Departures 2013', summary: 'A year of real flights replayed at a day a second: hourly delays by airport.', icon: 'plane-takeoff' },
      { id: 'cpu-and-memory', title: 'CPU and memory', summary: 'This machine, live: load of each core and what memory is left.', icon: 'cpu' },
      { id: 'broken-on-purpose', title: 'Broken on purpose', summary: 'Bad rows, a stalled input, a slow sink: the studio names all three.', icon: 'bug' },
    ],
  },
};

const DIFF: TextDiff = {
  old_title: 'running',
  new_title: 'edited',
  lines: [
    { kind: 'gap', old_line: 0, new_line: 0, text: '14 lines' },
    { kind: 'same', old_line: 15, new_line: 15, text: '[node.flown]' },
    { kind: 'same', old_line: 16, new_line: 16, text: 'kind = "filter"' },
    { kind: 'removed', old_line: 17, new_line: 0, text: 'where = "dep_delay IS NOT NULL"' },
    { kind: 'added', old_line: 0, new_line: 17, text: 'where = "dep_delay IS NOT NULL AND dep_delay > -30"' },
    { kind: 'same', old_line: 18, new_line: 18, text: '' },
  ],
};

/** A studio in memory, for the look of the screens. It runs nothing: its figures are invented. */
export class FakeStudio implements Adapter {
  readonly nativeFiles = undefined;
  listener: Listener | undefined;
  text = '';
  saved = '';
  file: FakeFile = { settings: {}, nodes: [], alerts: [], layout: {} };
  revision = 0;
  undone: string[] = [];
  done: string[] = [];
  run: RunInfo | null = null;
  runningText = '';
  tick = 0;
  taps = new Map<string, { from: string; port: string; to: string }>();
  /** What the node at hand leads; undefined while it does not answer. */
  cluster: Cluster | undefined;
  /** 0 while the chart waits for its first window. */
  chartRows = 447;

  connect = (listener: Listener): (() => void) => {
    this.listener = listener;
    queueMicrotask(() => listener.link({ is: 'open' }));
    const timer = window.setInterval(() => this.beat(), 500);
    return () => window.clearInterval(timer);
  };

  saveBytes = (): Promise<boolean> => Promise.resolve(true);

  send = (text: string): boolean => {
    const message = JSON.parse(text) as ClientMessage;
    queueMicrotask(() => {
      const outcome = this.answer(message.request);
      if (message.id !== 0) this.listener?.incoming({ is: 'message', message: { message: 'reply', id: message.id, outcome } });
    });
    return true;
  };

  tell(event: Event): void {
    this.listener?.incoming({ is: 'message', message: { message: 'event', event } });
  }

  open(text: string, cause: DocumentCause = 'opened'): void {
    this.text = text;
    this.saved = text;
    this.done = [];
    this.undone = [];
    this.file = readFile(text);
    this.document(cause);
  }

  private answer(request: Request): { ok: Reply } | { error: ApiError } {
    try {
      return { ok: this.carryOut(request) };
    } catch (error) {
      return { error: { code: 'bad_request', message: error instanceof Error ? error.message : 'failed' } };
    }
  }

  private carryOut(request: Request): Reply {
    const done: Reply = { reply: 'done' };
    switch (request.ask) {
      case 'hello':
        return {
          reply: 'welcome',
          value: {
            api: 1,
            version: '0.1.0',
            platform: 'browser',
            catalog: fakeCatalog,
            targets: [
              { id: 'local', title: 'This computer', state: 'ready', detail: '2 cores' },
              this.cluster === undefined ? { ...NODE, state: 'unreachable', detail: 'does not answer' } : NODE,
            ],
          },
        };
      case 'home':
        return HOME;
      case 'new':
        this.open('millrace = 1\n\n[pipeline]\nname = "untitled"\n');
        return done;
      case 'close':
        this.tell({ event: 'closed' });
        return done;
      case 'edit':
        this.edit(request.edits);
        return done;
      case 'set_text':
        this.change(request.text, 'typed');
        return done;
      case 'undo':
        this.step(this.done, this.undone, 'undone');
        return done;
      case 'redo':
        this.step(this.undone, this.done, 'redone');
        return done;
      case 'save':
        this.saved = this.text;
        this.document('saved');
        return done;
      case 'copy':
        return { reply: 'text', value: this.file.nodes.filter((node) => request.nodes.includes(node.id)).map(writeNode).join('\n\n') };
      case 'run':
      case 'restart':
      case 'kill':
        this.start();
        return done;
      case 'stop':
        this.phase('stopped');
        return done;
      case 'look_at_upgrade':
        queueMicrotask(() => this.tell({ event: 'upgrade', value: { revision: this.revision, kept: ['flights', 'hourly'], new: ['chart'], lost: [], notes: [], refused: [] } }));
        return done;
      case 'upgrade':
        if (this.run !== null) {
          const { differs: _, ...rest } = this.run;
          this.run = { ...rest, upgraded: { at_ms: Date.now(), savepoint: 'before-upgrade-1' } };
          this.tell({ event: 'run', value: this.run });
        }
        return done;
      case 'diff_running':
        return { reply: 'diff', value: DIFF };
      case 'savepoints':
        return { reply: 'savepoints', value: [{ name: 'monday', epoch: 12, at_ms: Date.now() - 86_400_000, bytes: 64_000 }] };
      case 'tap':
        if (request.on) this.taps.set(`${request.from}.${request.port}>${request.to}`, request);
        else this.taps.delete(`${request.from}.${request.port}>${request.to}`);
        return done;
      case 'watch_chart':
        if (request.on && this.chartRows > 0) {
          const bytes = chartFrame(this.run?.run ?? 0, 1, true, fakeSeries, fakePoints());
          queueMicrotask(() => this.listener?.incoming({ is: 'chart', node: request.node, bytes }));
        }
        return done;
      case 'chart_rows':
        return { reply: 'rows', value: this.chartRows === 0 ? { columns: [], rows: [], total: 0 } : fakeChartRows(request.offset, request.limit) };
      case 'check_field':
        return { reply: 'checked', value: { type: 'BOOLEAN', columns: [], findings: [] } };
      case 'watch_cluster':
        if (request.target === this.cluster?.target && this.cluster !== undefined) this.tell({ event: 'cluster', value: this.cluster });
        return done;
      case 'list_dir':
        return {
          reply: 'directory',
          value: {
            path: '/home/ada/flights',
            parent: '/home/ada',
            entries: [
              { name: 'data', path: '/home/ada/flights/data', kind: 'folder', size_bytes: 0 },
              { name: 'departures.millrace.toml', path: '/home/ada/flights/departures.millrace.toml', kind: 'pipeline', size_bytes: 1_204 },
            ],
          },
        };
      default:
        return done;
    }
  }

  private step(from: string[], to: string[], cause: DocumentCause): void {
    const text = from.pop();
    if (text === undefined) throw new Error('nothing to take back');
    to.push(this.text);
    this.text = text;
    this.document(cause);
  }

  private edit(edits: Edit[]): void {
    const file = readFile(this.text);
    const fresh = applyEdits(file, edits);
    const moved = edits.every((edit) => edit.edit === 'move_nodes');
    this.change(writeFile(file), moved ? 'moved' : 'edited', fresh);
  }

  change(text: string, cause: DocumentCause, fresh: string[] = []): void {
    this.done.push(this.text);
    this.undone = [];
    if (cause === 'moved' && this.saved === this.text) this.saved = text;
    this.text = text;
    this.document(cause, fresh);
    if (this.run !== null && cause !== 'moved') this.compare();
  }

  document(cause: DocumentCause, fresh: string[] = []): void {
    this.revision += 1;
    let broken: Document['broken'];
    try {
      this.file = readFile(this.text);
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      broken = { line: error.line, column: 1, message: error.message };
    }
    const document = fakeDocument(this.file, this.text, {
      dirty: this.text !== this.saved,
      revision: this.revision,
      can_undo: this.done.length > 0,
      can_redo: this.undone.length > 0,
      cause,
      new_nodes: fresh,
    });
    if (broken !== undefined) {
      document.broken = broken;
      document.findings = [{ code: 'MR0001', severity: 'error', message: broken.message, line: broken.line, column: 1, start: 0, end: 0 }];
    }
    this.tell({ event: 'document', value: document });
    this.tell({ event: 'charts', value: fakeCharts(document.graph.nodes, this.run === null ? 0 : this.chartRows) });
  }

  start(phase: RunPhase = 'running'): void {
    this.runningText = this.text;
    this.run = { run: (this.run?.run ?? 0) + 1, phase: 'starting', target: 'local', started_at_ms: Date.now(), kept: true, sample: [] };
    this.tell({ event: 'run', value: this.run });
    this.tell({ event: 'notices', value: { reset: true, notices: fakeNotices(this.run.run) } });
    this.phase(phase);
    this.document('checked');
    this.beat();
  }

  phase(phase: RunPhase, more: Partial<RunInfo> = {}): void {
    if (this.run === null) throw new Error('nothing runs');
    this.run = { ...this.run, phase, ...more };
    this.tell({ event: 'run', value: this.run });
  }

  private compare(): void {
    const before = readFile(this.runningText).nodes;
    const nodes = this.file.nodes.filter((node) => {
      const old = before.find((other) => other.id === node.id);
      return JSON.stringify(old) !== JSON.stringify(node);
    });
    if (this.run === null) return;
    const { differs: _, ...rest } = this.run;
    this.run = nodes.length === 0 ? rest : { ...rest, differs: { changes: nodes.length, nodes: nodes.map((node) => node.id) } };
    this.tell({ event: 'run', value: this.run });
  }

  beat(): void {
    if (this.run?.phase !== 'running' && this.run?.phase !== 'draining') return;
    this.tick += 1;
    const nodes = fakeDocument(this.file, this.text, { dirty: false, revision: 0, can_undo: false, can_redo: false, cause: 'checked', new_nodes: [] }).graph.nodes;
    this.tell({ event: 'figures', value: fakeFigures(this.run.run, this.tick, nodes) });
    for (const { from, port, to } of this.taps.values()) {
      this.listener?.incoming({ is: 'rows', rows: { subject: { of: 'edge', from, port, to }, page: fakeRows() } });
    }
  }
}
