import { describe, expect, it } from 'vitest';

import type { Cluster, ClusterJob, ClusterNode, Happening, Incident } from '../generated/api';
import { onEvent, onTarget } from '../store/reduce';
import { initialState, type State } from '../store/state';
import { columns, inOrder, inReach, inVoteOrder, mostRelease, outcome, placesOf, shortName, spread, whereText } from './select';

const node = (member: number, name: string, standing: ClusterNode['standing'] = 'joined'): ClusterNode => ({
  member,
  name,
  incarnation: 1,
  standing,
  since_ms: 0,
  slots_used: 0,
  tasks: 0,
  cores: 2,
  machine_bytes: 0,
  drain: 'no',
  stays: [],
});
const job = (places: ClusterJob['places'], mine = true): ClusterJob => ({ job: 1, name: 'x', mine, state: 'running', elapsed_ms: 0, rows_in: 0, rows_per_s: 0, places });
const what = (kind: string, at_ms: number): Happening => ({ kind, at_ms, message: kind });
const incident = (root: Happening, ...victims: Happening[]): Incident => ({ id: 1, root, victims, unlisted: 0 });
const cluster = (target: string, ...jobs: ClusterJob[]): Cluster => ({ target, contact: { is: 'connected' }, nodes: [], links: [], jobs, incidents: [], led_elsewhere: 0 });

describe('the cluster at a target', () => {
  const at = (target: string, more: Partial<State> = {}): State => ({ ...initialState, target, ...more });

  it('is taken in where that target is still the chosen one', () => {
    const told = cluster('ws://a:1');
    expect(onEvent(at('ws://a:1'), { event: 'cluster', value: told })).toEqual({ cluster: told });
    expect(onEvent(at('ws://b:1'), { event: 'cluster', value: told })).toEqual({});
  });

  it('is forgotten with another target, and its screen is left for this computer', () => {
    expect(onTarget(at('ws://b:1', { screen: 'cluster' }))).toEqual({ cluster: undefined });
    expect(onTarget(at('local', { screen: 'cluster' }))).toEqual({ cluster: undefined, screen: 'pipeline' });
    expect(onTarget(at('local', { screen: 'live' }))).toEqual({ cluster: undefined });
  });
});

describe('nodes', () => {
  it('in reach are those that lead or have joined', () => {
    expect(inReach([node(0, 'a:1', 'leads'), node(1, 'b:1'), node(2, 'c:1', 'suspected'), node(3, 'd:1', 'lost')])).toEqual({ there: 2, all: 4 });
  });

  it('of one machine are told apart by their ports', () => {
    expect(shortName('h:2', [node(0, 'h:1'), node(1, 'h:2')])).toBe(':2');
    expect(shortName('i:2', [node(0, 'h:1'), node(1, 'i:2')])).toBe('i:2');
  });
});

describe('a control group', () => {
  it('has its leader first, then who votes, then who follows', () => {
    const part = (name: string, of: 'leads' | 'votes' | 'follows') => ({ name, address: '', part: of });
    const nodes = [part('d', 'follows'), part('c', 'votes'), part('b', 'leads'), part('a', 'votes')];
    expect(inVoteOrder(nodes).map((node) => node.name)).toEqual(['b', 'a', 'c', 'd']);
  });
});

describe('tasks', () => {
  it('are counted by node, the leader first', () => {
    expect([...spread([2, 0, 2, 1])]).toEqual([
      [0, 1],
      [1, 1],
      [2, 2],
    ]);
  });

  it('are told with their nodes in words', () => {
    const nodes = [node(0, 'h:1', 'leads'), node(1, 'h:2')];
    expect(whereText(nodes, spread([0, 1, 1]))).toBe('1 task on the leader, 2 tasks on :2');
  });

  it('of a node on the canvas are those of the run of this studio', () => {
    expect(placesOf(cluster('a', job({ hourly: [1] }, false), job({ hourly: [2, 2] })), 'hourly')).toEqual([2, 2]);
    expect(placesOf(cluster('a', job({ hourly: [1] }, false)), 'hourly')).toBeUndefined();
    expect(placesOf(undefined, 'hourly')).toBeUndefined();
  });

  it('stand in the order of the file that is open, and by name in that of another', () => {
    const places = { chart: [0], flights: [0], hourly: [1] };
    const ids = (mine: boolean): string[] => inOrder(job(places, mine), ['flights', 'hourly', 'chart']).map(([id]) => id);
    expect(ids(true)).toEqual(['flights', 'hourly', 'chart']);
    expect(ids(false)).toEqual(['chart', 'flights', 'hourly']);
  });

  it('have a column for each node that runs any, or could', () => {
    const nodes = [node(0, 'a:1', 'leads'), node(1, 'b:1', 'lost'), node(2, 'c:1', 'lost'), node(3, 'd:1')];
    expect(columns(job({ hourly: [0, 2] }), nodes).map(({ member }) => member)).toEqual([0, 2, 3]);
  });
});

describe('an incident', () => {
  it('is over when the rows of its run flow again, counted from the root cause', () => {
    const told = incident(what('node_lost', 1_000), what('tasks_lost', 1_000), what('restarted', 1_100), what('running', 1_900));
    expect(outcome(told)).toEqual({ is: 'running', after: 900 });
  });

  it('goes on while the run begins again once more', () => {
    expect(outcome(incident(what('node_lost', 0), what('running', 5), what('restarted', 9)))).toEqual({ is: 'restarting' });
    expect(outcome(incident(what('restarted', 0)))).toEqual({ is: 'restarting' });
  });

  it('of a node that came back says after how long, and one that nothing followed says nothing', () => {
    expect(outcome(incident(what('node_suspected', 10), what('node_resumed', 250)))).toEqual({ is: 'resumed', after: 240 });
    expect(outcome(incident(what('node_joined', 10)))).toBeUndefined();
  });

  it('of an alert says how long it fired', () => {
    expect(outcome(incident(what('alert_firing', 10), what('alert_resolved', 40)))).toEqual({ is: 'over', after: 30 });
    expect(outcome(incident(what('alert_firing', 10)))).toBeUndefined();
  });

  it('is as bad as what it did to a run for good', () => {
    expect(outcome(incident(what('node_lost', 0), what('restarted', 1), what('failed', 2)))).toEqual({ is: 'failed' });
  });
});

describe('releases', () => {
  const of = (...versions: (string | undefined)[]): ClusterNode[] =>
    versions.map((version, member) => ({ ...node(member, `a:${member}`), ...(version === undefined ? {} : { version }) }));

  it('that are all the same, or not told, are not worth a word', () => {
    expect(mostRelease(of('1', '1', undefined))).toBeUndefined();
    expect(mostRelease([...of('1'), { ...node(1, 'a:1', 'lost'), version: '0' }])).toBeUndefined();
  });

  it('that differ are told by the one that most run', () => {
    expect(mostRelease(of('2', '1', '2'))).toBe('2');
    expect(mostRelease(of('1', '2'))).toBe('2');
  });
});

describe('nodes in reach', () => {
  it('count none that left once it was drained', () => {
    expect(inReach([node(0, 'a:0'), { ...node(1, 'a:1', 'lost'), drain: 'drained' }, node(2, 'a:2', 'lost')])).toEqual({ there: 1, all: 2 });
  });
});
