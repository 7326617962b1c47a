import type { GraphNode, KindInfo } from '../../generated/api';
import { en } from '../../text/en';
import { edgesOf } from '../../store/select';
import { edgeKey, type EdgeRef } from '../../store/state';

export const NODE_WIDTH = 200;
export const NODE_HEIGHT = 72;
const GAP = 60;

export type Point = [number, number];
export type OutSide = 'right' | 'bottom';
export type InSide = 'left' | 'top';

/** Whether a node stands so far under another that a wire from below reads better. */
function isUnder(upper: Point, lower: Point): boolean {
  return Math.abs(lower[0] - upper[0]) < NODE_WIDTH / 2 && lower[1] >= upper[1] + NODE_HEIGHT + 24;
}

/** The side of the main port: below where all that it feeds stands below. */
export function outSide(id: string, nodes: readonly GraphNode[], at: (id: string) => Point): OutSide {
  const fed = nodes.filter((node) => node.inputs.some((input) => input.from === id && input.port === 'out'));
  return fed.length > 0 && fed.every((node) => isUnder(at(id), at(node.id))) ? 'bottom' : 'right';
}

/** The side of the input: above where all that feeds it comes from above. */
export function inSide(node: GraphNode, nodes: readonly GraphNode[], at: (id: string) => Point): InSide {
  const main = node.inputs.filter((input) => nodes.some((other) => other.id === input.from));
  const above = main.every((input) => input.port === 'out' && isUnder(at(input.from), at(node.id)));
  return main.length > 0 && above ? 'top' : 'left';
}

/** The names of a node's inputs: one without a name where the kind does not name them. */
export function inputNames(kind: KindInfo | undefined): (string | undefined)[] {
  if (kind === undefined || kind.inputs.take === 'one' || kind.inputs.take === 'many') return [undefined];
  return kind.inputs.take === 'named' ? kind.inputs.names : [];
}

/** Why a wire may not be drawn, or nothing. */
export type Refusal = 'self' | 'cycle' | 'taken' | 'no_input' | undefined;

export function refuses(edge: EdgeRef, nodes: readonly GraphNode[], kindOf: (name: string) => KindInfo | undefined): Refusal {
  if (edge.from === edge.to) return 'self';
  const to = nodes.find((node) => node.id === edge.to);
  const kind = to === undefined ? undefined : kindOf(to.kind);
  if (to === undefined || kind?.inputs.take === 'none') return 'no_input';
  const takesMany = kind?.inputs.take === 'many';
  if (to.inputs.some((input) => (takesMany ? input.from === edge.from && input.port === edge.port : input.name === edge.input))) return 'taken';
  return reaches(edge.to, edge.from, nodes) ? 'cycle' : undefined;
}

/** Whether rows of one node come to another. */
export function reaches(from: string, to: string, nodes: readonly GraphNode[]): boolean {
  const seen = new Set<string>();
  const left = [from];
  for (let id = left.pop(); id !== undefined; id = left.pop()) {
    if (id === to) return true;
    if (seen.has(id)) continue;
    seen.add(id);
    for (const node of nodes) if (node.inputs.some((input) => input.from === id)) left.push(node.id);
  }
  return false;
}

/** The input of a node that a wire may still end in. */
export function freeInput(node: GraphNode, kind: KindInfo | undefined): { free: boolean; input?: string } {
  if (kind?.inputs.take === 'many') return { free: true };
  const free = inputNames(kind).find((name) => !node.inputs.some((input) => input.name === name));
  if (kind?.inputs.take === 'named') return free === undefined ? { free: false } : { free: true, input: free };
  return { free: kind?.inputs.take !== 'none' && node.inputs.length === 0 };
}

/** A place near `wanted` where a node covers no other. */
export function freePlace(wanted: Point, nodes: readonly GraphNode[]): Point {
  const [x, y] = [Math.round(wanted[0] / 4) * 4, Math.round(wanted[1] / 4) * 4];
  for (let row = 0; ; row++) {
    const at: Point = [x, y + row * (NODE_HEIGHT + 24)];
    const covers = nodes.some(({ position }) => Math.abs(position[0] - at[0]) < NODE_WIDTH + 8 && Math.abs(position[1] - at[1]) < NODE_HEIGHT + 8);
    if (!covers) return at;
  }
}

/** To the right of a node. */
export const placeAfter = (node: GraphNode): Point => [node.position[0] + NODE_WIDTH + GAP, node.position[1]];

/** The node's second line: what it plots, or a window with its keys, as people say it; else as the studio has it. */
export function keySetting(node: GraphNode): string {
  const { plot, by } = node.fields;
  if (typeof plot === 'object' && plot !== null) {
    const { x, y, series } = plot as Record<string, unknown>;
    const per = typeof series === 'string' ? series : x;
    if (typeof y === 'string' && typeof per === 'string') return en.canvas.by(y, per);
  }
  const keys = Array.isArray(by) ? by.filter((key) => typeof key === 'string').join(', ') : '';
  return keys === '' || node.key_setting === '' || node.key_setting.includes(keys) ? node.key_setting : en.canvas.by(node.key_setting, keys);
}

/** The nearest node on a side: straight ahead counts more than aside. */
export function neighbour(from: GraphNode, to: 'left' | 'right' | 'up' | 'down', nodes: readonly GraphNode[]): GraphNode | undefined {
  const along = to === 'left' || to === 'right' ? 0 : 1;
  const across = along === 0 ? 1 : 0;
  const sign = to === 'left' || to === 'up' ? -1 : 1;
  let best: { node: GraphNode; distance: number } | undefined;
  for (const node of nodes) {
    const ahead = sign * (node.position[along] - from.position[along]);
    const aside = Math.abs(node.position[across] - from.position[across]);
    if (node.id === from.id || ahead < 8) continue;
    const distance = ahead + aside * 2;
    if (best === undefined || distance < best.distance) best = { node, distance };
  }
  return best?.node;
}

export interface EdgeModel extends EdgeRef {
  key: string;
}

/** All edges, each under a key of its own. */
export function edgeModels(nodes: readonly GraphNode[]): EdgeModel[] {
  return edgesOf(nodes).map((edge) => ({ ...edge, key: `${edgeKey(edge)}${edge.input === undefined ? '' : `.${edge.input}`}` }));
}

/** Three steps of thickness, by rows per second. */
export function thickness(rowsPerSecond: number): number {
  if (rowsPerSecond >= 10_000) return 3.5;
  return rowsPerSecond >= 100 ? 2.5 : 1.5;
}
