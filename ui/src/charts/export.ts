import type { RowsPage } from '../generated/api';
import { showError, studio, toast } from '../store/session';
import { getState } from '../store/store';
import { en } from '../text/en';
import { toCsv } from './csv';
import { charts } from './host';
import { chartView } from './view';

const PAGE = 5_000;
const MAX_ROWS = 200_000;
/** Frames to wait for a painted one. */
const MAX_FRAMES = 20;
const HEAD = 34;

/** Saves the rows that the chart shows: within its x range, of its visible series. */
export async function exportCsv(node: string): Promise<void> {
  try {
    const { columns, rows } = await allRows(node, chartView(node).table ? undefined : charts.visibleRange(node));
    const bytes = new TextEncoder().encode(toCsv(columns.map((column) => column.name), visibleRows(node, { columns, rows })));
    await saved(`${node}.csv`, 'text/csv', bytes);
  } catch (error) {
    showError(error);
  }
}

type Rows = Pick<RowsPage, 'columns' | 'rows'>;

async function allRows(node: string, range: [number, number] | undefined): Promise<Rows> {
  const parts: RowsPage['rows'][] = [];
  let columns: RowsPage['columns'] = [];
  for (let offset = 0; offset < MAX_ROWS; offset += PAGE) {
    const limits = range === undefined ? {} : { x_from: range[0], x_to: range[1] };
    const { value } = await studio().askFor('rows', { ask: 'chart_rows', node, offset, limit: PAGE, ...limits });
    columns = value.columns;
    parts.unshift(value.rows);
    if (value.rows.length < PAGE) break;
  }
  return { columns, rows: parts.flat() };
}

function visibleRows(node: string, { columns, rows }: Rows): RowsPage['rows'] {
  const { hidden, table } = chartView(node);
  const plot = getState().document?.graph.nodes.find((other) => other.id === node)?.fields['plot'];
  const series = typeof plot === 'object' && plot !== null && 'series' in plot ? plot.series : undefined;
  const at = columns.findIndex((column) => column.name === series);
  return at < 0 || table ? rows : rows.filter((row) => !hidden.includes(row[at] ?? 'NULL'));
}

/** Saves a picture of the chart, with its title and legend. */
export async function exportPng(node: string): Promise<void> {
  const picture = await painted(node);
  const blob = picture === undefined ? null : await new Promise<Blob | null>((resolve) => picture.toBlob(resolve, 'image/png'));
  if (blob !== null) await saved(`${node}.png`, 'image/png', new Uint8Array(await blob.arrayBuffer()));
}

async function saved(name: string, type: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  if (await studio().adapter.saveBytes(name, type, bytes)) toast('info', en.chart.saved);
}

/** A copy of the chart, taken in the frame in which it was painted: afterwards WebGL's buffer is gone. */
async function painted(node: string): Promise<HTMLCanvasElement | undefined> {
  const cut = charts.cut(node);
  if (cut === undefined) return undefined;
  const picture = document.createElement('canvas');
  const scale = charts.canvas.width / Math.max(1, charts.canvas.clientWidth);
  const head = HEAD * scale;
  picture.width = Math.round(cut.w);
  picture.height = Math.round(cut.h + head);
  const context = picture.getContext('2d', { willReadFrequently: true });
  if (context === null) return undefined;
  const style = getComputedStyle(document.documentElement);
  for (let frame = 0; frame < MAX_FRAMES; frame++) {
    charts.repaint();
    await new Promise(requestAnimationFrame);
    context.fillStyle = style.getPropertyValue('--panel');
    context.fillRect(0, 0, picture.width, picture.height);
    context.drawImage(charts.canvas, cut.x, cut.y, cut.w, cut.h, 0, head, cut.w, cut.h);
    if (!isBlank(context, picture, head)) break;
  }
  drawHead(context, node, scale, picture.width, style);
  return picture;
}

/** Whether the plot's pixels are all alike. */
function isBlank(context: CanvasRenderingContext2D, picture: HTMLCanvasElement, head: number): boolean {
  const { data } = context.getImageData(0, head, picture.width, Math.max(1, picture.height - head));
  const pixels = new Uint32Array(data.buffer);
  return pixels.every((pixel) => pixel === pixels[0]);
}

function drawHead(context: CanvasRenderingContext2D, node: string, scale: number, width: number, style: CSSStyleDeclaration): void {
  const chart = getState().charts.find((one) => one.node === node);
  if (chart === undefined) return;
  const { hidden } = chartView(node);
  context.textBaseline = 'middle';
  context.fillStyle = style.getPropertyValue('--ink');
  context.font = `600 ${13 * scale}px Inter, sans-serif`;
  context.fillText(chart.title, 12 * scale, (HEAD / 2) * scale);
  context.font = `${12 * scale}px Inter, sans-serif`;
  let x = width - 12 * scale;
  chart.series.forEach((_, index) => {
    const at = chart.series.length - 1 - index;
    const series = chart.series[at];
    if (series === undefined || hidden.includes(series.name)) return;
    x -= context.measureText(series.name).width;
    context.fillStyle = style.getPropertyValue('--ink');
    context.fillText(series.name, x, (HEAD / 2) * scale);
    x -= 14 * scale;
    context.fillStyle = style.getPropertyValue(`--series-${at % 8}`);
    context.fillRect(x, (HEAD / 2 - 4) * scale, 9 * scale, 9 * scale);
    x -= 14 * scale;
  });
}
