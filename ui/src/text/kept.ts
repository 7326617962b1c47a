import { plural } from './format';

/** The texts of what is kept of a run. A part of the catalogue. */
export const checkpoints = {
  off: 'Nothing is kept: a run that crashes begins anew. Set “checkpoint every” in the pipeline’s settings, and it goes on.',
  notRun: 'Checkpoints come with a run.',
  none: 'No checkpoint yet.',
  epoch: 'Epoch',
  when: 'Began',
  outcome: 'Outcome',
  total: 'In all',
  size: 'Size',
  waitedFor: 'Waited longest for',
  waitedAfter: (after: string) => `handed over after ${after}`,
  phases: { aligning: 'Aligning', writing: 'Writing', manifest: 'Manifest', commit: 'Commit' },
  phaseHelp: {
    aligning: 'Until every task had its barrier from all inputs and had handed over what it holds',
    writing: 'From then on until all of that was at rest',
    manifest: 'Until the manifest was there, which makes the epoch complete',
    commit: 'Until all sinks had made their rows visible',
  },
  outcomes: {
    aligning: 'aligning',
    writing: 'writing',
    manifest: 'making the manifest',
    commit: 'committing',
    complete: 'complete',
    failed: 'failed',
    superseded: 'gave way to the last',
  },
  newest: (epoch: string, took: string, size: string) => `Checkpoint ${epoch}: ${took}, ${size}`,
  failedOf: (failed: number) => plural(failed, 'checkpoint came to nothing', 'checkpoints came to nothing'),
  show: 'Show checkpoints',
} as const;

export const savepoints = {
  take: 'Savepoint',
  restore: 'Restore from…',
  name: 'name of the savepoint',
  keep: 'Keep',
  whileRunning: 'A savepoint is a checkpoint with a name, kept until you remove it.',
  atRest: 'Run begins afresh; Restore goes on from a savepoint.',
  elsewhere: 'Savepoints are kept beside the file, for runs on this computer.',
  looking: 'Looking…',
  none: 'There is no savepoint of this pipeline yet. Take one while it runs.',
  about: (epoch: string, at: string, size: string) => `epoch ${epoch}, taken ${at} UTC, ${size}`,
  asked: (name: string) => `Savepoint “${name}” is taken with the next epoch.`,
  kill: 'Kill',
  killHelp: 'Fails all tasks as a crash would. The run goes on by itself from its last checkpoint.',
  killed: 'Killed. It goes on from its last checkpoint; Events say how.',
  restoreAnyway: 'Restore all the same',
  leave: 'Leave it',
} as const;
