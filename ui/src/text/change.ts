/** The texts of changes of a run while it is under way. A part of the catalogue. */
export const change = {
  label: 'Tasks of each node of the run',
  ofNode: 'Tasks of the node',
  now: (tasks: number) => `×${tasks}`,
  nowLabel: (tasks: number) => `Runs in ${tasks === 1 ? '1 task' : `${tasks} tasks`} of each node that does not say otherwise`,
  draft: (from: number, to: number) => `${from} → ${to}`,
  fewer: 'Fewer tasks',
  more: 'More tasks',
  rescale: 'Rescale',
  rescaleHelp: 'Goes on in that many tasks, from a checkpoint taken for it. Nothing is lost, and nothing repeated. Esc leaves it.',
  notKept: 'This run takes no checkpoints, so it cannot go on in other numbers of tasks. Set “checkpoint every” in the pipeline’s settings, and run it again.',
  underWay: (what: string) => `${what}: under way`,
  last: (what: string, epoch: string, pause: string) => `Last: ${what}, at checkpoint ${epoch}, paused ${pause}`,
} as const;
