import { describe, expect, it } from 'vitest';

import { fakeCatalog } from '../../dev/catalog';
import type { GraphInput, GraphNode } from '../../generated/api';
import { freeInput, freePlace, inSide, keySetting, neighbour, outSide, refuses, thickness, type Point } from './model';

const kindOf = (name: string) => fakeCatalog.kinds.find((kind) => kind.name === name);
const node = (id: string, kind: string, inputs: GraphInput[] = [], position: Point = [0, 0]): GraphNode => ({
  id,
  kind,
  position,
  inputs,
  fields: {},
  key_setting: '',
  outputs: [],
  explanations: {},
      guarantees: [],
  lines: { first: 1, last: 1 },
});
const from = (id: string, port = 'out'): GraphInput => ({ from: id, port });

describe('wires', () => {
  const nodes = [node('src', 'file'), node('a', 'filter', [from('src')]), node('b', 'filter', [from('a')]), node('u', 'union', [from('a')])];

  it.each([
    ['a', 'a', 'self'],
    ['b', 'a', 'taken'],
    ['src', 'src', 'self'],
    ['a', 'src', 'no_input'],
    ['src', 'u', undefined],
    ['a', 'u', 'taken'],
  ])('from %s to %s: %s', (source, target, refusal) => {
    expect(refuses({ from: source, port: 'out', to: target }, nodes, kindOf)).toBe(refusal);
  });

  it('makes no circle', () => {
    const open = [node('a', 'union'), node('b', 'filter', [from('a')])];
    expect(refuses({ from: 'b', port: 'out', to: 'a' }, open, kindOf)).toBe('cycle');
  });

  it('finds the input that is free', () => {
    expect(freeInput(node('a', 'filter'), kindOf('filter'))).toEqual({ free: true });
    expect(freeInput(node('a', 'filter', [from('x')]), kindOf('filter')).free).toBe(false);
    expect(freeInput(node('s', 'file'), kindOf('file')).free).toBe(false);
    const join = kindOf('filter');
    if (join === undefined) throw new Error('no kind');
    const named = { ...join, inputs: { take: 'named' as const, names: ['left', 'right'] } };
    expect(freeInput(node('j', 'join', [{ name: 'left', ...from('x') }]), named)).toEqual({ free: true, input: 'right' });
  });
});

describe('places', () => {
  it('a node is put where it covers no other', () => {
    expect(freePlace([0, 0], [node('a', 'file')])).toEqual([0, 96]);
    expect(freePlace([300, 0], [node('a', 'file')])).toEqual([300, 0]);
  });

  it('a wire leaves below and enters above where the next node stands under the first', () => {
    const nodes = [node('a', 'file', [], [0, 0]), node('b', 'filter', [from('a')], [0, 160]), node('c', 'filter', [from('b')], [260, 160])];
    const at = (id: string): Point => nodes.find((one) => one.id === id)?.position ?? [0, 0];
    const [a, b, c] = nodes;
    if (a === undefined || b === undefined || c === undefined) throw new Error('no nodes');
    expect(outSide('a', nodes, at)).toBe('bottom');
    expect(inSide(b, nodes, at)).toBe('top');
    expect(outSide('b', nodes, at)).toBe('right');
    expect(inSide(c, nodes, at)).toBe('left');
  });

  it('arrows go to the nearest node ahead', () => {
    const [a, b, c] = [node('a', 'file', [], [0, 0]), node('b', 'filter', [], [260, 20]), node('c', 'filter', [], [260, 300])];
    expect(neighbour(a, 'right', [a, b, c])?.id).toBe('b');
    expect(neighbour(b, 'down', [a, b, c])?.id).toBe('c');
    expect(neighbour(a, 'left', [a, b, c])).toBeUndefined();
  });
});

it('a node says what it plots, or its window with its keys', () => {
  const chart = { ...node('c', 'dashboard'), key_setting: 'x = t', fields: { plot: { x: 't', y: 'mean_delay', series: 'origin' } } };
  const hourly = { ...node('h', 'tumbling_window'), key_setting: '1h', fields: { size: '1h', by: ['origin', 'carrier'] } };
  const flown = { ...node('f', 'filter'), key_setting: 'x > 1', fields: { where: 'x > 1' } };
  expect([chart, hourly, flown].map(keySetting)).toEqual(['mean_delay by origin', '1h by origin, carrier', 'x > 1']);
});

it('an edge has three thicknesses', () => {
  expect([0, 99, 100, 9_999, 10_000].map(thickness)).toEqual([1.5, 1.5, 2.5, 2.5, 3.5]);
});
