import { describe, expect, it } from 'vitest';

import { shortNumber, shortTime } from './RowsTable';

describe('values in a table of rows', () => {
  it('shows a float with the decimals that say something', () => {
    const shown = (...values: string[]) => values.map(shortNumber);
    expect(shown('47.0999999999998', '6.555555555555555', '-0.13636363636363635')).toEqual(['47.1', '6.555556', '-0.136364']);
    expect(shown('0.00001234567890', '12.899999999999999', '5.0000000001')).toEqual(['0.0000123457', '12.9', '5']);
  });

  it('leaves what is short, or no plain float, as it is', () => {
    const plain = ['1.625', '26.0', '-3', '1e-7', 'NaN', '123456789012345680'];
    expect(plain.map(shortNumber)).toEqual(plain);
  });

  it('leaves out seconds that are none', () => {
    expect(['2013-03-14T12:35:00Z', '2013-03-14 12:35:07.5'].map(shortTime)).toEqual(['2013-03-14 12:35', '2013-03-14 12:35:07.5']);
  });
});
