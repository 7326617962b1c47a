/** What the WebAssembly module gives; ui/charts/src/web.rs has its docs. Every call may throw. */
export interface ChartsHandle {
  start: (canvas: HTMLCanvasElement) => Promise<void>;
  set_theme: (tokens: string) => void;
  /** `[{id, x, y, w, h}]`, in CSS pixels of the canvas. A chart that is not named is not painted. */
  set_layout: (tiles: string) => void;
  /** `{mark, x_kind, series: [{name, visible}]}` */
  set_config: (id: string, config: string) => void;
  push: (id: string, bytes: Uint8Array) => number;
  remove: (id: string) => void;
  set_paused: (id: string, paused: boolean) => void;
  set_follow: (id: string, follow: boolean) => void;
  reset_zoom: (id: string) => void;
  zoom_by: (id: string, factor: number) => void;
  pan_by: (id: string, share: number) => void;
  request_repaint: () => void;
  visible_range: (id: string) => string;
  newest_painted_stamp_us: (id: string) => number | undefined;
  stats: () => string;
  on_hover: (callback: (id: string, json: string) => void) => void;
  on_view_change: (callback: (id: string, json: string) => void) => void;
  on_panic: (callback: (message: string) => void) => void;
}

/** The points nearest to the pointer. */
export interface Hover {
  x: number;
  x_text: string;
  values: readonly { series: string; x: number; y: number; y_text: string }[];
}

/** What a chart shows. */
export interface Visible {
  x0: number;
  x1: number;
  zoomed: boolean;
  follow: boolean;
  paused: boolean;
}

interface ChartsModule {
  default: (where: { module_or_path: string }) => Promise<unknown>;
  ChartsHandle: new () => ChartsHandle;
}

// By pattern, since the files are made by another build: without them the page is built all the same, and shows tables.
const modules = import.meta.glob<ChartsModule>('../generated/charts/*.js');
const binaries = import.meta.glob<string>('../generated/charts/*.wasm', { query: '?url', import: 'default' });

/** Loads the module; undefined where this build has none. */
export async function loadCharts(): Promise<ChartsHandle | undefined> {
  const [load] = Object.values(modules);
  const [locate] = Object.values(binaries);
  if (load === undefined || locate === undefined) return undefined;
  const [module, where] = await Promise.all([load(), locate()]);
  await module.default({ module_or_path: where });
  return new module.ChartsHandle();
}

/** Whether this window can draw by WebGL. */
export function hasWebGl(): boolean {
  try {
    const context = document.createElement('canvas').getContext('webgl2');
    // Contexts are scarce: this one is given back at once.
    context?.getExtension('WEBGL_lose_context')?.loseContext();
    return context !== null;
  } catch {
    return false;
  }
}
