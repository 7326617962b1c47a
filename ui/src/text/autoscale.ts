const tasks = (count: number): string => (count === 1 ? '1 task' : `${count} tasks`);

/** The texts of what a run's load asks for. A part of the catalogue. */
export const autoscale = {
  label: 'What its load asks for',
  more: (wanted: number, has: number) => `Wants ${tasks(wanted)}, has ${has}.`,
  fewer: (wanted: number, has: number) => `${tasks(wanted)} would do, has ${has}.`,
  bound: (has: number) => `Wants more than its ${tasks(has)}.`,
  goesWith: (node: string) => `Has as many tasks as “${node}”.`,
  apply: 'Apply',
  applyHelp: 'Goes on in that many tasks, from a checkpoint taken for it. Nothing is lost, and nothing repeated.',
  byItself: 'The run goes on so by itself.',
  last: (what: string) => `Last: ${what}`,
} as const;

/** Words for the values of its fields. */
export const autoscaleValues: Record<string, string> = {
  'autoscale.mode.off': 'not looked at',
  'autoscale.mode.advise': 'say what it would do',
  'autoscale.mode.on': 'do it',
};

/** What holds while a field of it is not set. */
export const autoscaleUnset: Record<string, string> = {
  'autoscale.mode': 'say what it would do (if not set)',
};
