import type { AlertTold, Document, Event, Figures, GraphNode, Notice, RowsFrame, RunInfo, Severity, Welcome } from '../generated/api';
import { en } from '../text/en';
import { EMPTY_SELECTION, LOCAL, edgeKey, type EdgeRef, type Selection, type State, type Toast, type Trail } from './state';

/** Points that a sparkline shows: two minutes at 2 Hz. */
export const TRAIL_LENGTH = 240;
const MAX_NOTICES = 2_000;
const MAX_TOASTS = 4;

type Change = Partial<State>;

export function onWelcome(state: State, welcome: Welcome): Change {
  return { welcome, targets: welcome.targets, target: knownTarget(state.target, welcome.targets) };
}

/** What an event of the studio's changes. Pure; the store puts it in place. */
export function onEvent(state: State, event: Event): Change {
  switch (event.event) {
    case 'document':
      return onDocument(state, event.value);
    case 'closed':
      return { document: undefined, conflict: null, selection: EMPTY_SELECTION, charts: [], taps: {}, figures: undefined, trails: {}, screen: 'pipeline' };
    case 'run':
      return onRun(state, event.value);
    case 'figures':
      return onFigures(state, event.value);
    case 'notices':
      return { notices: mergeNotices(event.value.reset ? [] : state.notices, event.value.notices) };
    case 'charts':
      return { charts: event.value, dockChart: event.value.some((chart) => chart.node === state.dockChart) ? state.dockChart : event.value[0]?.node };
    case 'conflict':
      return { conflict: event.value };
    case 'targets':
      return { targets: event.value, target: knownTarget(state.target, event.value) };
    case 'cluster':
      // One that was asked for before another target was chosen comes too late.
      return event.value.target === state.target ? { cluster: event.value } : {};
    case 'alert':
      return { toasts: addToast(state.toasts, event.value.firing ? 'warning' : 'info', alertWords(event.value)) };
    case 'upgrade':
      return { upgrade: event.value };
    case 'would_rewind':
      return { dialog: { is: 'would_rewind', ...event.value } };
    case 'toast':
      return { toasts: addToast(state.toasts, event.value.severity, event.value.message) };
  }
}

const alertWords = ({ firing, message }: AlertTold): string => (firing ? en.alerts.fires(message) : en.alerts.resolved(message));

/** Another target was chosen: what is known of the cluster is another's. This computer has no screen for it. */
export function onTarget(state: State): Change {
  return state.target === LOCAL && state.screen === 'cluster' ? { cluster: undefined, screen: 'pipeline' } : { cluster: undefined };
}

function knownTarget(id: string, targets: readonly { id: string }[]): string {
  return targets.some((target) => target.id === id) ? id : LOCAL;
}

function onDocument(state: State, document: Document): Change {
  const fresh = document.cause === 'opened';
  const change: Change = { document };
  if (fresh) {
    change.selection = EMPTY_SELECTION;
    change.screen = 'pipeline';
    change.alert = undefined;
    change.dialog = undefined;
  } else if (document.new_nodes.length > 0) {
    change.selection = { nodes: document.new_nodes, edges: [] };
  } else {
    change.selection = keepSelection(state.selection, document.graph.nodes);
  }
  return change;
}

/** What is selected and still there; a node renamed under the selection is followed where the edit says so. */
export function keepSelection(selection: Selection, nodes: readonly GraphNode[]): Selection {
  const known = new Set(nodes.map((node) => node.id));
  const kept = { nodes: selection.nodes.filter((id) => known.has(id)), edges: selection.edges.filter((edge) => edgeExists(edge, nodes)) };
  const same = kept.nodes.length === selection.nodes.length && kept.edges.length === selection.edges.length;
  return same ? selection : kept;
}

function edgeExists(edge: EdgeRef, nodes: readonly GraphNode[]): boolean {
  const to = nodes.find((node) => node.id === edge.to);
  return to?.inputs.some((input) => input.from === edge.from && input.port === edge.port && input.name === edge.input) ?? false;
}

function onRun(state: State, run: RunInfo | null): Change {
  if (run === null) return { run, figures: undefined, trails: {}, taps: {} };
  const began = run.run !== state.run?.run;
  if (!began) return { run };
  const change: Change = { run, figures: undefined, trails: {}, taps: {} };
  // The chart says what it waits for, so a run opens it; not for a run that a reloaded page finds going.
  if (run.phase === 'starting' && (state.document?.graph.nodes.some((node) => node.kind === 'dashboard') ?? false)) change.dock = 'chart';
  return change;
}

function onFigures(state: State, figures: Figures): Change {
  const trails: Record<string, Trail> = {};
  for (const [id, node] of Object.entries(figures.nodes)) {
    const before = state.trails[id];
    trails[id] = {
      in: push(before?.in, node.in_per_s),
      out: push(before?.out, node.out_per_s),
      busy: push(before?.busy, node.busy_percent),
      lag: push(before?.lag, node.lag_ms ?? 0),
    };
  }
  return { figures, trails };
}

function push(trail: readonly number[] | undefined, value: number): readonly number[] {
  const grown = trail === undefined ? [value] : [...trail, value];
  return grown.length > TRAIL_LENGTH ? grown.slice(-TRAIL_LENGTH) : grown;
}

/** Newest last; a notice that came before under the same id is replaced by the newer. */
export function mergeNotices(before: readonly Notice[], more: readonly Notice[]): readonly Notice[] {
  const changed = new Set(more.map((notice) => notice.id));
  return [...before.filter((notice) => !changed.has(notice.id)), ...more].slice(-MAX_NOTICES);
}

export function onRows(state: State, frame: RowsFrame): Change {
  return { taps: { ...state.taps, [edgeKey(frame.subject)]: frame.page } };
}

let nextToast = 1;

/** Adds a toast; the same words are not said twice at once. */
export function addToast(toasts: readonly Toast[], severity: Severity, message: string): readonly Toast[] {
  const others = toasts.filter((toast) => toast.message !== message);
  return [...others, { id: nextToast++, severity, message }].slice(-MAX_TOASTS);
}
