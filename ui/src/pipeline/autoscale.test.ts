import { expect, test } from 'vitest';

import type { Autoscale, TaskAdvice } from '../generated/api';
import { adviceOf, isChange, wantsWords, whyWords } from './autoscale';

const advice = (more: Partial<TaskAdvice>): TaskAdvice => ({ node: 'count', with: ['out'], tasks: 2, wanted: 3, cause: 'count is 96 % busy', asks: { count: 3 }, ...more });

test('a node is advised for itself, or for the one that it goes with', () => {
  const autoscale: Autoscale = { mode: 'advise', advice: [advice({}), advice({ node: 'hourly', with: [], wanted: 1 })] };
  expect(adviceOf(autoscale, 'count')?.wanted).toBe(3);
  expect(adviceOf(autoscale, 'out')?.node).toBe('count');
  expect(adviceOf(autoscale, 'flights')).toBeUndefined();
  expect(adviceOf(undefined, 'count')).toBeUndefined();
});

test('what is wanted is said with what there is, and where nothing can be done that is said', () => {
  expect(wantsWords(advice({}))).toBe('Wants 3 tasks, has 2.');
  expect(wantsWords(advice({ wanted: 1 }))).toBe('1 task would do, has 2.');
  const bound = advice({ wanted: 2, bound: 'it has one task: its rows come together in one place', asks: {} });
  expect([isChange(bound), wantsWords(bound)]).toEqual([false, 'Wants more than its 2 tasks.']);
  expect(whyWords(bound)).toBe('count is 96 % busy. It has one task: its rows come together in one place.');
});
