import { expect, test } from 'vitest';

import { fakeCatalog } from '../dev/catalog';
import type { Alert, Finding } from '../generated/api';
import { listed, ofAlert, ruleWords, shownFields, threshold } from './alerts';

const alert = (name: string, standing: Alert['standing'], since_ms: number): Alert => ({
  name,
  figure: 'late',
  rule: 'late above 1',
  standing,
  since_ms,
  value: '2',
  fired: 0,
  desktop: false,
  webhooks: [],
});
const inFile = (name: string) => ({ name, fields: { figure: 'late', above: 1 }, lines: { first: 1, last: 2 } });

test('what fires comes first, the longest before, and what nothing runs comes last', () => {
  const running = [alert('quiet', 'quiet', 1), alert('young', 'firing', 9), alert('old', 'firing', 3), alert('pending', 'pending', 2)];
  const shown = listed(running, [inFile('new'), inFile('quiet')]);
  expect(shown.map((one) => one.name)).toEqual(['old', 'young', 'pending', 'quiet', 'new']);
  expect(shown.at(-1)).toMatchObject({ standing: 'unknown', rule: 'late rows above 1' });
});

test('a threshold is a number where it is one, and else a text with its unit', () => {
  expect(['100', '2.5', '10m', '100/s', ' '].map(threshold)).toEqual([100, 2.5, '10m', '100/s', ' ']);
});

test('a form shows the fields that fit its figure, and those that stand in the file', () => {
  const names = (fields: Record<string, unknown>) => shownFields(fakeCatalog, fields, ['a', 'b']).map((field) => field.name);
  expect(names({ figure: 'late' })).toEqual(['figure', 'node', 'above', 'below', 'until', 'for']);
  expect(names({ figure: 'run_state' })).toEqual(['figure', 'is', 'for']);
  expect(names({ figure: 'run_state', above: 1 })).toContain('above');
  const node = shownFields(fakeCatalog, { figure: 'late' }, ['a', 'b']).find((field) => field.name === 'node');
  expect(node?.shape).toEqual({ is: 'enum', options: [{ value: 'a', help: '' }, { value: 'b', help: '' }] });
});

test('findings of an alert are its own, by the names of its fields', () => {
  const finding = (field: string): Finding => ({ code: 'MR0150', severity: 'error', message: 'm', field, line: 1, column: 1, start: 0, end: 0 });
  const own = ofAlert([finding('alert.a.above'), finding('alert.a'), finding('alert.ab.above'), finding('pipeline.name')], 'a');
  expect(own.map((one) => one.field)).toEqual(['above', '']);
});

test('a rule is told as far as it is written', () => {
  expect(ruleWords({ figure: 'busy', node: 'hourly', above: '80%', for: '1m' })).toBe('busy of hourly above 80% for 1m');
  expect(ruleWords({ figure: 'watermark_lag', above: '10m' })).toBe('watermark lag above 10m');
  expect(ruleWords({})).toBe('');
});
