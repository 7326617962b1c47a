import type { Autoscale, TaskAdvice } from '../generated/api';
import { en } from '../text/en';
import { closed, sentence } from '../text/format';

/** What the load asks for of a node: its own number of tasks, or that of the one that it goes with. */
export const adviceOf = (autoscale: Autoscale | undefined, id: string): TaskAdvice | undefined =>
  autoscale?.advice.find((advice) => advice.node === id) ?? autoscale?.advice.find((advice) => advice.with.includes(id));

/** Whether something is to be done. */
export const isChange = (advice: TaskAdvice): boolean => advice.wanted !== advice.tasks;

/** What a node wants, in one short sentence. */
export function wantsWords(advice: TaskAdvice): string {
  if (advice.wanted > advice.tasks) return en.autoscale.more(advice.wanted, advice.tasks);
  return isChange(advice) ? en.autoscale.fewer(advice.wanted, advice.tasks) : en.autoscale.bound(advice.tasks);
}

/** Why, and what keeps it from having as many as it needs. Names of nodes stay as they are written. */
export function whyWords(advice: TaskAdvice): string {
  const bound = advice.bound === undefined ? '' : ` ${closed(sentence(advice.bound))}`;
  return `${closed(advice.cause)}${bound}`;
}
