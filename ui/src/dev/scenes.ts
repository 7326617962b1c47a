import { fakeAlone, fakeCluster } from './cluster';
import type { Cluster } from '../generated/api';
import { FakeStudio } from './studio';

const DEPARTURES = `millrace = 1                      # the file format

[pipeline]
name = "departures by origin"
checkpoint_every = "10s"

[node.flights]
kind = "file"
path = "data/flights.parquet"
event_time = "scheduled"
max_delay = "3h"
replay = { by = "reported", speed = "86400x" }

[node.flown]
kind = "filter"
input = "flights"
where = "dep_delay IS NOT NULL"

[node.hourly]
kind = "tumbling_window"
input = "flown"
size = "1h"
by = ["origin"]
aggregate = { departures = "count(*)", mean_delay = "avg(dep_delay)", p95_delay = "quantile(dep_delay, 0.95)" }
allowed_lateness = "6h"
emit = "on_close"

[node.chart]
kind = "dashboard"
input = "hourly"
plot = { x = "window_start", y = "mean_delay", series = "origin" }

[node.late]
kind = "file_sink"
input = "hourly.late"
path = "out/late.parquet"

[alert.lates]
figure = "late"
node = "hourly"
above = 1000

[alert.behind]
figure = "watermark_lag"
node = "flights"
above = "10m"
for = "30s"
notify = ["desktop", "https://hooks.example/\${HOOK}"]

[alert.stopped]
figure = "run_state"
is = "failed"

[layout]
flights = [32, 92]
flown = [292, 92]
hourly = [292, 268]
chart = [552, 188]
late = [552, 388]
`;

const lostAt = (): number => Date.now() - 14_000;

/** Each state of the screens, by name, for the screenshots. */
export const scenes: Record<string, (studio: FakeStudio) => void> = {
  home: () => undefined,
  empty: (studio) => studio.open('millrace = 1\n\n[pipeline]\nname = "untitled"\n'),
  draft: (studio) => studio.open(DEPARTURES),
  running: (studio) => {
    studio.open(DEPARTURES);
    studio.start();
  },
  waiting: (studio) => {
    studio.chartRows = 0;
    studio.open(DEPARTURES);
    studio.start();
  },
  differs: (studio) => {
    studio.open(DEPARTURES);
    studio.start();
    studio.change(DEPARTURES.replace('out/late.parquet', 'out/too-late.parquet'), 'typed');
  },
  errors: (studio) => {
    studio.open(DEPARTURES.replace('dep_delay IS NOT', 'dep_dely IS NOT').replace('path = "out/late.parquet"\n', ''));
  },
  broken: (studio) => {
    studio.open(DEPARTURES);
    studio.change(DEPARTURES.replace('"3h"', '3h'), 'typed');
  },
  draining: (studio) => {
    studio.open(DEPARTURES);
    studio.start('draining');
  },
  finished: (studio) => {
    studio.open(DEPARTURES);
    studio.start();
    studio.phase('finished', { ended_at_ms: Date.now() });
  },
  failed: (studio) => {
    studio.open(DEPARTURES);
    studio.start();
    studio.phase('failed', {
      ended_at_ms: Date.now(),
      cause: { code: 'MR0601', severity: 'error', message: 'late could not write out/late.parquet: the disk is full. Free some space, then run again.', node: 'late', line: 0, column: 0, start: 0, end: 0 },
    });
  },
  reconnecting: (studio) => {
    studio.open(DEPARTURES);
    studio.start();
    studio.phase('running', {
      target: 'ws://127.0.0.1:7400',
      reconnecting: { since_ms: Date.now() - 3_000, why: 'nothing was heard for 3 s' },
      reconnects: 2,
    });
  },
  contact_lost: (studio) => {
    studio.open(DEPARTURES);
    studio.start();
    studio.phase('contact_lost', { last_heard_ms: lostAt(), target: 'ws://127.0.0.1:7400' });
  },
  cluster: (studio) => {
    studio.open(DEPARTURES);
    studio.start();
    studio.phase('running', { target: 'ws://127.0.0.1:7400' });
  },
  cluster_alone: (studio) => studio.open(DEPARTURES),
  cluster_lost: (studio) => {
    studio.open(DEPARTURES);
    studio.start();
    studio.phase('contact_lost', { last_heard_ms: lostAt(), target: 'ws://127.0.0.1:7400' });
  },
  conflict: (studio) => {
    studio.open(DEPARTURES);
    studio.tell({
      event: 'conflict',
      value: {
        path: '/home/ada/flights/departures.millrace.toml',
        diff: {
          old_title: 'on disk',
          new_title: 'in the studio',
          lines: [
            { kind: 'gap', old_line: 0, new_line: 0, text: '20 lines' },
            { kind: 'same', old_line: 21, new_line: 21, text: 'input = "flown"' },
            { kind: 'removed', old_line: 22, new_line: 0, text: 'size = "2h"' },
            { kind: 'added', old_line: 0, new_line: 22, text: 'size = "1h"' },
            { kind: 'same', old_line: 23, new_line: 23, text: 'by = ["origin"]' },
          ],
        },
      },
    });
  },
};

/** What the node leads, in the scenes that have one. */
const clusters: Record<string, () => Cluster> = {
  cluster: () => fakeCluster(),
  cluster_alone: fakeAlone,
  cluster_lost: () => fakeCluster({ contact: { is: 'lost', since_ms: lostAt(), why: 'nobody listens there any more: Connection refused' } }),
};

/** A studio in memory that shows a scene once the page has greeted it. */
export function fakeStudio(name: string): FakeStudio {
  const studio = new FakeStudio();
  studio.cluster = clusters[name]?.();
  const connect = studio.connect;
  studio.connect = (listener) => {
    const end = connect(listener);
    window.setTimeout(() => scenes[name]?.(studio), 50);
    return end;
  };
  return studio;
}
