import type { AxisKind, ChartMark } from '../generated/api';
import { en } from '../text/en';
import { chartTheme, resolveTheme, storedChoice, type Theme } from '../theme/theme';
import { hasWebGl, loadCharts, type ChartsHandle, type Hover, type Visible } from './handle';

export type ChartsStatus = { is: 'idle' } | { is: 'loading' } | { is: 'ready' } | { is: 'unable'; why: string };

/** How a chart is drawn. */
export interface ChartConfig {
  mark: ChartMark;
  x_kind: AxisKind;
  series: readonly { name: string; visible: boolean }[];
}

interface Tile {
  id: string;
  element: HTMLElement;
}

/**
 * The one canvas of all charts. Browsers let go of the oldest of more than about sixteen WebGL contexts, so there is one: it moves
 * between the screens, and each chart has a rectangle of it, under the element that shows the chart.
 */
export class ChartHost {
  readonly canvas = document.createElement('canvas');
  private handle: ChartsHandle | undefined;
  private status: ChartsStatus = { is: 'idle' };
  private hover: { id: string; at: Hover } | undefined;
  /** Charts that were fed since the last {@link clear}. */
  private readonly known = new Set<string>();
  private area: HTMLElement | undefined;
  private readonly tiles = new Map<string, Tile>();
  private readonly listeners = new Set<() => void>();
  private readonly sizes = new ResizeObserver(() => this.place());
  private frame = 0;

  constructor() {
    this.canvas.className = 'chart-canvas';
    this.canvas.setAttribute('aria-hidden', 'true');
  }

  // For useSyncExternalStore.
  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  getStatus = (): ChartsStatus => this.status;
  getHover = (): { id: string; at: Hover } | undefined => this.hover;

  /** Told when the user moved a chart. */
  onView: (id: string, visible: Visible) => void = () => undefined;
  /** Told what went wrong with a chart while the others go on. */
  onTrouble: (why: string) => void = () => undefined;

  /** Puts the canvas under an area; the result takes it away. */
  mount(area: HTMLElement): () => void {
    this.area = area;
    area.prepend(this.canvas);
    this.sizes.observe(area);
    void this.load();
    this.place();
    return () => {
      this.sizes.unobserve(area);
      if (this.area !== area) return;
      this.area = undefined;
      this.canvas.remove();
    };
  }

  /** Paints a chart under an element of the area; the result ends it. */
  show(id: string, element: HTMLElement): () => void {
    const tile = { id, element };
    this.tiles.set(id, tile);
    this.sizes.observe(element);
    this.place();
    return () => {
      this.sizes.unobserve(element);
      if (this.tiles.get(id) === tile) this.tiles.delete(id);
      this.place();
    };
  }

  push = (id: string, bytes: Uint8Array): void => {
    this.known.add(id);
    this.guard((handle) => handle.push(id, bytes));
  };
  /** Forgets all charts. */
  clear = (): void => {
    for (const id of this.known) this.guard((handle) => handle.remove(id));
    this.known.clear();
  };
  configure = (id: string, config: ChartConfig): void => this.guard((handle) => handle.set_config(id, JSON.stringify(config)));
  setPaused = (id: string, paused: boolean): void => this.guard((handle) => handle.set_paused(id, paused));
  setFollow = (id: string, follow: boolean): void => this.guard((handle) => handle.set_follow(id, follow));
  resetZoom = (id: string): void => this.move(id, (handle) => handle.reset_zoom(id));
  setTheme = (theme: Theme): void => this.guard((handle) => handle.set_theme(JSON.stringify(chartTheme(theme))));
  zoom = (id: string, factor: number): void => this.move(id, (handle) => handle.zoom_by(id, factor));
  pan = (id: string, share: number): void => this.move(id, (handle) => handle.pan_by(id, share));
  repaint = (): void => this.guard((handle) => handle.request_repaint());

  visibleRange(id: string): [number, number] | undefined {
    const shown = this.visible(id);
    return shown === undefined ? undefined : [shown.x0, shown.x1];
  }

  private visible(id: string): Visible | undefined {
    const shown: Visible[] = [];
    this.guard((handle) => {
      const visible = JSON.parse(handle.visible_range(id)) as Visible | null;
      if (visible !== null) shown.push(visible);
    });
    return shown[0];
  }

  /** Moves what a chart shows; whether it still follows is told as for a move by hand. */
  private move(id: string, act: (handle: ChartsHandle) => void): void {
    this.guard(act);
    const shown = this.visible(id);
    if (shown !== undefined) this.onView(id, shown);
  }

  /** The part of the canvas that a chart has, in device pixels; undefined where it is not shown. */
  cut(id: string): { x: number; y: number; w: number; h: number } | undefined {
    const tile = this.tiles.get(id);
    if (tile === undefined || this.area === undefined) return undefined;
    const { x, y, w, h } = rectangle(tile.element, this.area);
    const scale = this.canvas.width / Math.max(1, this.canvas.clientWidth);
    return { x: x * scale, y: y * scale, w: w * scale, h: h * scale };
  }

  private async load(): Promise<void> {
    if (this.status.is !== 'idle') return;
    if (!hasWebGl()) {
      this.set({ is: 'unable', why: en.chart.noWebGl });
      return;
    }
    this.set({ is: 'loading' });
    try {
      const handle = await loadCharts();
      if (handle === undefined) {
        this.set({ is: 'unable', why: en.chart.failed(en.chart.notBuilt) });
        return;
      }
      handle.on_hover((id, json) => this.hovered(id, JSON.parse(json) as Hover | null));
      handle.on_view_change((id, json) => this.onView(id, JSON.parse(json) as Visible));
      handle.on_panic((message) => this.fail(message));
      await handle.start(this.canvas);
      handle.set_theme(JSON.stringify(chartTheme(resolveTheme(storedChoice()))));
      this.handle = handle;
      // For measurements from outside: what was painted, and what frames cost (tests/browser/bench.mjs).
      Object.assign(this.canvas, { millraceCharts: handle });
      this.set({ is: 'ready' });
      this.place();
    } catch (error) {
      this.fail(error instanceof Error ? error.message : String(error));
    }
  }

  private hovered(id: string, at: Hover | null): void {
    if (at === null && this.hover?.id !== id) return;
    this.hover = at === null ? undefined : { id, at };
    this.tell();
  }

  private fail(why: string): void {
    this.handle = undefined;
    this.set({ is: 'unable', why: en.chart.failed(why) });
  }

  /** Tells the charts where they are, once a frame at most. */
  private place(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      const area = this.area;
      if (area === undefined) return;
      const layout = [...this.tiles.values()].filter((tile) => area.contains(tile.element)).map((tile) => ({ id: tile.id, ...rectangle(tile.element, area) }));
      this.guard((handle) => handle.set_layout(JSON.stringify(layout)));
    });
  }

  /** What one chart refuses is said, and the others go on. */
  private guard(act: (handle: ChartsHandle) => void): void {
    if (this.handle === undefined) return;
    try {
      act(this.handle);
    } catch (error) {
      this.onTrouble(error instanceof Error ? error.message : String(error));
    }
  }

  private set(status: ChartsStatus): void {
    this.status = status;
    this.tell();
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

function rectangle(element: HTMLElement, area: HTMLElement): { x: number; y: number; w: number; h: number } {
  const inner = element.getBoundingClientRect();
  const outer = area.getBoundingClientRect();
  return { x: inner.left - outer.left, y: inner.top - outer.top, w: inner.width, h: inner.height };
}

export const charts = new ChartHost();
