import { useMemo } from 'react';

import type { EdgeFigures, Finding, GraphNode, KindInfo, NodeFigures, RunPhase } from '../generated/api';
import { edgeKey, type EdgeRef, type State } from './state';
import { useStore } from './store';

const NONE: readonly never[] = [];

export const useKind = (name: string): KindInfo | undefined => useStore((state) => state.welcome?.catalog.kinds.find((kind) => kind.name === name));

export const useKinds = (): readonly KindInfo[] => useStore((state) => state.welcome?.catalog.kinds ?? NONE);

export const useNodes = (): readonly GraphNode[] => useStore((state) => state.document?.graph.nodes ?? NONE);

export const useNode = (id: string | undefined): GraphNode | undefined =>
  useStore((state) => state.document?.graph.nodes.find((node) => node.id === id));

/** The phase of the run, `draft` before the first. */
export type Phase = RunPhase | 'draft';

export const phaseOf = (state: State): Phase => state.run?.phase ?? 'draft';

export const usePhase = (): Phase => useStore(phaseOf);

export const isOver = (phase: Phase): boolean => phase === 'finished' || phase === 'stopped' || phase === 'failed';

/** A node's figures, unless it changed since the run began. */
export function nodeFigures(state: State, id: string): NodeFigures | undefined {
  if (state.run?.differs?.nodes.includes(id) === true) return undefined;
  return state.figures?.nodes[id];
}

export const useNodeFigures = (id: string): NodeFigures | undefined => useStore((state) => nodeFigures(state, id));

/** Whether rows of an edge go from one node of the cluster to another, in this studio's run. */
export function crossesNodes(state: State, edge: EdgeRef): boolean {
  if (state.run === null || isOver(state.run.phase)) return false;
  const places = state.cluster?.jobs.find((job) => job.mine)?.places;
  const members = new Set([...(places?.[edge.from] ?? []), ...(places?.[edge.to] ?? [])]);
  return members.size > 1;
}

/** Twice the mean on one task is worth a word; of two tasks, three quarters of all rows. */
export const isSkewed = ({ skew, tasks }: NodeFigures): boolean => skew !== undefined && skew.ratio >= Math.min(1 + (tasks - 1) / 2, 2);

/** How many alerts of the run fire. */
export const useFiring = (): number => useStore((state) => state.figures?.alerts.filter((alert) => alert.standing === 'firing').length ?? 0);

export const useNodeChanged = (id: string): boolean => useStore((state) => state.run?.differs?.nodes.includes(id) === true);

export function edgeFigures(state: State, edge: EdgeRef): EdgeFigures | undefined {
  if (state.run?.differs?.nodes.some((id) => id === edge.to || id === edge.from) === true) return undefined;
  return state.figures?.edges.find((other) => other.from === edge.from && other.port === edge.port && other.to === edge.to);
}

export const useEdgeFigures = (edge: EdgeRef): EdgeFigures | undefined => useStore((state) => edgeFigures(state, edge));

export const useTap = (edge: EdgeRef | undefined): State['taps'][string] | undefined =>
  useStore((state) => (edge === undefined ? undefined : state.taps[edgeKey(edge)]));

/** The findings of one node, errors first. */
export function useNodeFindings(id: string): readonly Finding[] {
  const findings = useStore((state) => state.document?.findings);
  return useMemo(() => {
    const own = findings?.filter((finding) => finding.node === id) ?? [];
    return own.length === 0 ? NONE : own.sort((a, b) => Number(b.severity === 'error') - Number(a.severity === 'error'));
  }, [findings, id]);
}

/** Whether nothing may be changed on the canvas: the text is not TOML. */
export const useReadOnly = (): boolean => useStore((state) => state.document?.broken !== undefined);

/** All edges of the graph. */
export function edgesOf(nodes: readonly GraphNode[]): EdgeRef[] {
  return nodes.flatMap((node) =>
    node.inputs.map((input) => {
      const edge: EdgeRef = { from: input.from, port: input.port, to: node.id };
      if (input.name !== undefined) edge.input = input.name;
      return edge;
    }),
  );
}
