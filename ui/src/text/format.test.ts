import { describe, expect, it } from 'vitest';

import { bytes, closed, compact, count, eventClock, measure, percent, span } from './format';

describe('figures as text', () => {
  it.each([
    [0, '0'],
    [0.01, '<0.1'],
    [0.2, '0.2'],
    [9.96, '10'],
    [900, '900'],
    [999.7, '1k'],
    [12_345, '12.3k'],
    [1_050_000, '1.05M'],
    [336_776_000_000, '337G'],
  ])('%d is %s, in at most five characters', (value, text) => {
    expect(compact(value)).toBe(text);
    expect(text.length).toBeLessThanOrEqual(5);
  });

  it('has a unit on every quantity', () => {
    expect(span(340)).toBe('340 ms');
    expect(span(125_000)).toBe('2 m 05 s');
    expect(span(3 * 3_600_000)).toBe('3 h 00 m');
    expect(bytes(142e6)).toBe('142 MB');
    expect(percent(0.2)).toBe('<1 %');
    expect(count(64_217)).toBe('64,217');
  });

  it('writes event time in UTC, and nothing for a time that is none', () => {
    expect(eventClock(Date.UTC(2013, 2, 14, 9, 42))).toBe('2013-03-14 09:42 UTC');
    expect(eventClock(1e300)).toBe('');
  });

  it('ends a text that another follows, once', () => {
    expect(['', 'no column', 'no column.', 'really?'].map(closed)).toEqual(['', 'no column.', 'no column.', 'really?']);
  });

  it('shows a chart’s value with the figures that matter', () => {
    expect([14.24, 0.1234, 1_234.5, Number.NaN].map(measure)).toEqual(['14.2', '0.123', '1,235', '–']);
  });
});
