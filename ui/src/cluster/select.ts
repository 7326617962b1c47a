import type { Cluster, ClusterJob, ClusterNode, ControlNode, Happening, Incident } from '../generated/api';
import { en } from '../text/en';

/** The nodes in reach, and all that are known. */
export function inReach(nodes: readonly ClusterNode[]): { there: number; all: number } {
  // One that was drained before it went is missed by nobody.
  const known = nodes.filter((node) => node.standing !== 'lost' || node.drain !== 'drained');
  return { there: known.filter((node) => node.standing !== 'lost' && node.standing !== 'suspected').length, all: known.length };
}

/** What tells nodes apart: the port alone where all are of one machine. */
export function shortName(name: string, nodes: readonly ClusterNode[]): string {
  const host = name.slice(0, name.lastIndexOf(':'));
  return nodes.every((node) => node.name.slice(0, node.name.lastIndexOf(':')) === host) ? name.slice(host.length) : name;
}

/** How many tasks of a node of the pipeline are at each member: those that have any, the leader first. */
export function spread(places: readonly number[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const member of [...places].sort((a, b) => a - b)) counts.set(member, (counts.get(member) ?? 0) + 1);
  return counts;
}

/** Where the tasks of a node of this studio's run are; undefined where there is no such run. */
export function placesOf(cluster: Cluster | undefined, node: string): readonly number[] | undefined {
  return cluster?.jobs.find((job) => job.mine)?.places[node];
}

/** The nodes of a run's pipeline with their places, in the order of the file where that is open; the others by name. */
export function inOrder(job: ClusterJob, file: readonly string[]): [string, readonly number[]][] {
  const at = (id: string): number => (job.mine && file.includes(id) ? file.indexOf(id) : file.length);
  return Object.entries(job.places).sort(([a], [b]) => at(a) - at(b) || a.localeCompare(b));
}

/** `2 tasks on the leader, 1 task on :7401` */
export function whereText(nodes: readonly ClusterNode[], counts: ReadonlyMap<number, number>): string {
  const name = (member: number): string => {
    const node = nodes.find((other) => other.member === member);
    if (node === undefined) return en.cluster.nodeGone;
    return node.standing === 'leads' ? en.cluster.theLeader : shortName(node.name, nodes);
  };
  return [...counts].map(([member, tasks]) => en.cluster.tasksAt(tasks, name(member))).join(', ');
}

/** The members that a table of tasks has columns for: who runs any, and who could. */
export function columns(job: ClusterJob, nodes: readonly ClusterNode[]): ClusterNode[] {
  const used = new Set(Object.values(job.places).flat());
  return nodes.filter((node) => node.standing !== 'lost' || used.has(node.member));
}

export type Outcome = { is: 'running' | 'resumed' | 'over'; after: number } | { is: 'failed' | 'restarting' };

/** What became of an incident; undefined while nothing more is known. */
export function outcome({ root, victims }: Incident): Outcome | undefined {
  const last = (kind: string): Happening | undefined => victims.findLast((victim) => victim.kind === kind);
  const after = (what: Happening): number => Math.max(0, what.at_ms - root.at_ms);
  const over = last('alert_resolved');
  if (root.kind === 'alert_firing') return over === undefined ? undefined : { is: 'over', after: after(over) };
  const [failed, running, restarted, resumed] = [last('failed'), last('running'), last('restarted'), last('node_resumed')];
  if (failed !== undefined) return { is: 'failed' };
  if (running !== undefined && (restarted === undefined || running.at_ms >= restarted.at_ms)) return { is: 'running', after: after(running) };
  if (restarted !== undefined || root.kind === 'restarted') return { is: 'restarting' };
  return resumed === undefined ? undefined : { is: 'resumed', after: after(resumed) };
}

export type Tone = 'error' | 'warn' | 'ok' | 'mute';

/** How grave a happening is. */
export function tone(kind: string): Tone {
  switch (kind) {
    case 'node_lost':
    case 'failed':
      return 'error';
    case 'node_joined':
    case 'node_resumed':
    case 'running':
    case 'alert_resolved':
      return 'ok';
    case 'node_suspected':
    case 'tasks_lost':
    case 'checkpoint_failed':
    case 'checkpoint_slow':
    case 'restarted':
    case 'alert_firing':
      return 'warn';
    default:
      return 'mute';
  }
}

const VOTE_ORDER: Record<ControlNode['part'], number> = { leads: 0, votes: 1, follows: 2 };

/** Who leads the control group, who votes, who follows; each by name. */
export function inVoteOrder(nodes: readonly ControlNode[]): ControlNode[] {
  return [...nodes].sort((a, b) => VOTE_ORDER[a.part] - VOTE_ORDER[b.part] || a.name.localeCompare(b.name));
}

/** The release that most nodes in reach run, where they do not all run one; undefined where they do. */
export function mostRelease(nodes: readonly ClusterNode[]): string | undefined {
  const counts = new Map<string, number>();
  for (const { standing, version } of nodes) {
    if (standing !== 'lost' && version !== undefined) counts.set(version, (counts.get(version) ?? 0) + 1);
  }
  if (counts.size < 2) return undefined;
  return [...counts].sort(([a, x], [b, y]) => y - x || b.localeCompare(a))[0]?.[0];
}
