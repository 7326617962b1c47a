import { describe, expect, it } from 'vitest';

import type { Document, Figures, GraphNode, Notice, RunInfo } from '../generated/api';
import { addToast, mergeNotices, onEvent, onRows, TRAIL_LENGTH } from './reduce';
import { EMPTY_SELECTION, initialState, type State } from './state';

const node = (id: string, inputs: GraphNode['inputs'] = [], kind = 'filter'): GraphNode => ({
  id,
  kind,
  position: [0, 0],
  inputs,
  fields: {},
  key_setting: '',
  outputs: [],
  explanations: {},
      guarantees: [],
  lines: { first: 1, last: 1 },
});

const document = (nodes: GraphNode[], more: Partial<Document> = {}): Document => ({
  name: 'p',
  root: '/',
  dirty: false,
  revision: 1,
  text: '',
  graph: { settings: {}, nodes, alerts: [], touches: [] },
  findings: [],
  can_undo: false,
  can_redo: false,
  changed_lines: [],
  cause: 'edited',
  new_nodes: [],
  ...more,
});

const run = (more: Partial<RunInfo> = {}): RunInfo => ({ run: 1, phase: 'starting', target: 'local', started_at_ms: 0, kept: true, sample: [], ...more });

const with_ = (change: Partial<State>): State => ({ ...initialState, ...change });

describe('what an event changes', () => {
  it('selects what an edit made', () => {
    const change = onEvent(initialState, { event: 'document', value: document([node('a')], { new_nodes: ['a'] }) });
    expect(change.selection).toEqual({ nodes: ['a'], edges: [] });
  });

  it('keeps of the selection what is still there', () => {
    const state = with_({ selection: { nodes: ['a', 'gone'], edges: [{ from: 'a', port: 'out', to: 'b' }] } });
    const nodes = [node('a'), node('b', [{ from: 'a', port: 'late' }])];
    expect(onEvent(state, { event: 'document', value: document(nodes) }).selection).toEqual({ nodes: ['a'], edges: [] });
  });

  it('leaves an untouched selection the same object, so that nothing is drawn anew', () => {
    const selection = { nodes: ['a'], edges: [] };
    expect(onEvent(with_({ selection }), { event: 'document', value: document([node('a')]) }).selection).toBe(selection);
  });

  it('opens the chart when a run with a dashboard starts, and not when a page finds one going', () => {
    const state = with_({ document: document([node('c', [], 'dashboard')]) });
    expect(onEvent(state, { event: 'run', value: run() }).dock).toBe('chart');
    expect(onEvent(state, { event: 'run', value: run({ phase: 'running' }) }).dock).toBeUndefined();
    expect(onEvent(with_({ run: run(), document: state.document }), { event: 'run', value: run({ phase: 'running' }) }).dock).toBeUndefined();
  });

  it('forgets the figures of the run before', () => {
    const state = with_({ run: run(), figures: figures(1) });
    const change = onEvent(state, { event: 'run', value: run({ run: 2 }) });
    expect('figures' in change && change.figures === undefined).toBe(true);
    expect(change.trails).toEqual({});
  });

  it('keeps two minutes of a node’s figures', () => {
    let state = initialState;
    for (let tick = 0; tick < TRAIL_LENGTH + 10; tick++) state = { ...state, ...onEvent(state, { event: 'figures', value: figures(tick) }) };
    expect(state.trails['a']?.out).toHaveLength(TRAIL_LENGTH);
    expect(state.trails['a']?.out.at(-1)).toBe(TRAIL_LENGTH + 9);
  });

  it('shows the home screen when the project is closed', () => {
    const change = onEvent(with_({ document: document([]), selection: { nodes: ['a'], edges: [] } }), { event: 'closed' });
    expect(change.document).toBeUndefined();
    expect(change.selection).toBe(EMPTY_SELECTION);
  });

  it('keeps the newest rows of an edge under the edge’s own key', () => {
    const page = { columns: [], rows: [['1']], total: 1 };
    const change = onRows(initialState, { subject: { of: 'edge', from: 'a', port: 'late', to: 'b' }, page });
    expect(change.taps).toEqual({ 'a.late>b': page });
  });
});

function figures(outPerS: number): Figures {
  const a = {
    read: 0,
    accepted: 0,
    filtered: 0,
    late: 0,
    late_after_idle: 0,
    quarantined: 0,
    rows_out: 0,
    in_per_s: 0,
    out_per_s: outPerS,
    busy_percent: 0,
    blocked_percent: 0,
    tasks: 1,
    open_windows: 0,
    state_rows: 0,
    state_bytes: 0,
    state_disk_bytes: 0,
  };
  return { run: 1, at_ms: 0, rows_per_s: 0, cpu_percent: 0, memory_bytes: 0, nodes: { a }, edges: [], late: 0, quarantined: 0, checkpoints: [], alerts: [],
  parallelism: 1 };
}

describe('notices and toasts', () => {
  const notice = (id: number, count: number): Notice => ({ id, at_ms: 0, severity: 'info', kind: 'k', message: 'm', count });

  it('a notice whose count grew takes the place of the earlier one', () => {
    expect(mergeNotices([notice(1, 1), notice(2, 1)], [notice(1, 5)]).map(({ id, count }) => [id, count])).toEqual([
      [2, 1],
      [1, 5],
    ]);
  });

  it('the same words are not said twice at once', () => {
    const toasts = addToast(addToast([], 'error', 'x'), 'error', 'x');
    expect(toasts).toHaveLength(1);
  });
});
