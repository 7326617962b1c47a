import type { Cluster, ClusterNode, Happening, Incident, Target } from '../generated/api';

export const NODE: Target = { id: 'ws://127.0.0.1:7400', title: '127.0.0.1:7400', state: 'ready', detail: '8 cores, 0.1.0' };

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** A cluster of four of which one was lost, with a story. */
export function fakeCluster(change: Partial<Cluster> = {}): Cluster {
  const now = Date.now();
  const node = (member: number, more: Partial<ClusterNode>): ClusterNode => ({
    member,
    name: `127.0.0.1:740${member}`,
    incarnation: 1,
    standing: 'joined',
    since_ms: now - 14 * MINUTE,
    slots: 2,
    slots_used: 2,
    tasks: 4,
    cores: 8,
    machine_bytes: 16e9,
    cpu_percent: 34,
    memory_bytes: 412e6,
    drain: 'no',
    stays: [],
    version: '0.1.0',
    ...more,
  });
  const { slots: _, ...leader } = node(0, { standing: 'leads', cpu_percent: 61, memory_bytes: 1.24e9, tasks: 5, slots_used: 1, since_ms: now - 26 * MINUTE });
  return {
    target: NODE.id,
    contact: { is: 'connected' },
    at_ms: now,
    nodes: [
      leader,
      node(1, {}),
      node(2, { standing: 'lost', why: 'nobody listens there any more: Connection refused', since_ms: now - 40 * SECOND, slots_used: 0, tasks: 0 }),
      node(3, { cpu_percent: 0.4, standing: 'suspected', why: 'nothing was heard for 3 s', since_ms: now - 4 * SECOND, incarnation: 2 }),
    ],
    links: [
      { member: 1, name: '127.0.0.1:7401', sent_bytes: 4e9, received_bytes: 8e8, sent_per_s: 18.4e6, received_per_s: 3.1e6, round_trip_ms: 0.4, resumes: 0 },
      { member: 3, name: '127.0.0.1:7403', sent_bytes: 2e9, received_bytes: 3e8, sent_per_s: 0, received_per_s: 0, round_trip_ms: 12.6, resumes: 3 },
    ],
    jobs: [
      {
        job: 3,
        name: 'departures.millrace.toml',
        mine: true,
        state: 'running',
        elapsed_ms: 14 * MINUTE,
        rows_in: 9_312_004,
        rows_per_s: 11_240,
        epoch: 82,
        places: { flights: [0], flown: [0], hourly: [1, 1, 3, 3], chart: [0], late: [0] },
      },
    ],
    incidents: story(now),
    led_elsewhere: 0,
    control: {
      term: 4,
      has_majority: true,
      survives: 1,
      nodes: [
        { name: 'second-77ab01c9', address: '127.0.0.1:7401', part: 'votes' },
        { name: 'first-3f9a2c1b', address: '127.0.0.1:7400', part: 'leads' },
        { name: 'third-5d20e4f8', address: '127.0.0.1:7402', part: 'votes' },
      ],
      deployments: [{ name: 'departures', state: 'running', node: 'first-3f9a2c1b', epoch: 412, held: 1, replicas: 2 }],
    },
    ...change,
  };
}

function story(now: number): Incident[] {
  const at = (ago: number, kind: string, message: string, of: Partial<Happening> = {}): Happening => ({ at_ms: now - ago, kind, message, ...of });
  const b = { node: '127.0.0.1:7402' };
  const run = { pipeline: 'departures.millrace.toml' };
  return [
    { id: 1, root: at(14 * MINUTE, 'node_joined', 'takes part in up to 2 tasks of each operator', { node: '127.0.0.1:7401' }), victims: [], unlisted: 0 },
    { id: 2, root: at(13 * MINUTE, 'node_joined', 'takes part in up to 2 tasks of each operator', b), victims: [], unlisted: 0 },
    {
      id: 3,
      root: at(5 * MINUTE, 'node_suspected', 'nothing was heard for 3 s', b),
      victims: [at(5 * MINUTE - 340, 'node_resumed', 'it is in reach again, and nothing was lost', b)],
      unlisted: 0,
    },
    {
      id: 4,
      root: at(40 * SECOND, 'node_lost', 'nobody listens there any more: Connection refused', b),
      victims: [
        at(40 * SECOND, 'tasks_lost', 'hourly (tasks 2, 3)', run),
        at(39.9 * SECOND, 'restarted', 'the node at ws://127.0.0.1:7402 is gone, and its tasks with it; begins again from epoch 78 in 200 ms, and reads 4,412 rows again', run),
        at(39.1 * SECOND, 'running', 'running as 8 tasks', run),
      ],
      unlisted: 0,
    },
  ];
}

/** A node that nobody has joined. */
export function fakeAlone(): Cluster {
  const { nodes, ...rest } = fakeCluster();
  return { ...rest, nodes: nodes.slice(0, 1), links: [], jobs: [], incidents: [] };
}
