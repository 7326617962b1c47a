import type { LinkState } from '../adapter/adapter';
import type {
  Catalog,
  ChartInfo,
  Cluster,
  Conflict,
  Document,
  Figures,
  Home,
  Notice,
  RowsPage,
  RunInfo,
  Severity,
  Target,
  TextDiff,
  UpgradeLook,
  Welcome,
} from '../generated/api';

export type Screen = 'pipeline' | 'live' | 'events' | 'cluster';
export type DockTab = 'text' | 'chart' | 'rows' | 'checkpoints' | 'alerts' | 'problems';
export type InspectorTab = 'settings' | 'metrics';

/** An edge of the canvas: a port of one node into another. */
export interface EdgeRef {
  from: string;
  port: string;
  to: string;
  /** The input's name where the kind names them. */
  input?: string;
}

/** The target that is this computer: an engine in the studio's own process. */
export const LOCAL = 'local';

export type Selection = { nodes: readonly string[]; edges: readonly EdgeRef[] };

export type Dialog =
  | { is: 'keys' }
  | { is: 'open' }
  | { is: 'save_as' }
  | { is: 'target' }
  | { is: 'diff'; diff: TextDiff }
  | { is: 'would_rewind'; savepoint: string; why: string }
  | { is: 'unsaved'; then: 'home' | 'new' | 'open' }
  | { is: 'find' };

export interface Toast {
  id: number;
  severity: Severity;
  message: string;
}

/** The last few minutes of one node, at 2 Hz. */
export interface Trail {
  in: readonly number[];
  out: readonly number[];
  busy: readonly number[];
  lag: readonly number[];
}

export interface State {
  link: LinkState;
  welcome: Welcome | undefined;
  home: Home | undefined;
  document: Document | undefined;
  run: RunInfo | null;
  figures: Figures | undefined;
  trails: Readonly<Record<string, Trail>>;
  notices: readonly Notice[];
  charts: readonly ChartInfo[];
  conflict: Conflict | null;
  /** What the run would keep as the text stands; undefined until it has said so. */
  upgrade: UpgradeLook | undefined;
  /** When the upgrade happened whose line over the canvas was hidden. */
  upgradeHidden: number | undefined;
  targets: readonly Target[];
  target: string;
  /** The cluster at the target, where that is a node; nothing before it was told. */
  cluster: Cluster | undefined;
  /** Samples of edges, by {@link edgeKey}. */
  taps: Readonly<Record<string, RowsPage>>;
  screen: Screen;
  dock: DockTab;
  /** The chart that the dock shows. */
  dockChart: string | undefined;
  inspector: InspectorTab;
  /** Whether the palette is popped over the canvas, where the window is too narrow to hold it. */
  paletteOver: boolean;
  selection: Selection;
  /** The alert whose form is open among the pipeline's settings. */
  alert: string | undefined;
  dialog: Dialog | undefined;
  toasts: readonly Toast[];
  /** How many tasks of each node the run is to go on in, as long as that is not asked for. */
  scaling: number | undefined;
  /** Set where the text dock must show a place, by a click elsewhere; grows so that the same place can be asked for again. */
  reveal: { line: number; count: number };
  /** The node whose name field must take the focus. */
  renaming: { node: string; count: number };
}

export const EMPTY_SELECTION: Selection = { nodes: [], edges: [] };
export const NO_CATALOG: Catalog = {
  kinds: [],
  common_schema: {},
  source_schema: {},
  sink_schema: {},
  pipeline_schema: {},
  alert_schema: {},
  run_figures: [],
  functions: [],
  types: [],
};

export const initialState: State = {
  link: { is: 'connecting' },
  welcome: undefined,
  home: undefined,
  document: undefined,
  run: null,
  figures: undefined,
  trails: {},
  notices: [],
  charts: [],
  conflict: null,
  upgrade: undefined,
  upgradeHidden: undefined,
  targets: [],
  target: LOCAL,
  cluster: undefined,
  taps: {},
  screen: 'pipeline',
  dock: 'text',
  dockChart: undefined,
  inspector: 'settings',
  paletteOver: false,
  selection: EMPTY_SELECTION,
  alert: undefined,
  dialog: undefined,
  toasts: [],
  scaling: undefined,
  reveal: { line: 0, count: 0 },
  renaming: { node: '', count: 0 },
};

export function edgeKey(edge: { from: string; port: string; to: string }): string {
  return `${edge.from}.${edge.port}>${edge.to}`;
}

/** A port as the file writes it: `node`, or `node.port`. */
export function portName(node: string, port: string): string {
  return port === 'out' ? node : `${node}.${port}`;
}
