import { expect, it } from 'vitest';

import { toCsv } from './csv';

it('CSV quotes what needs it, and tells NULL from an empty text', () => {
  expect(toCsv(['a', 'b,c'], [['1', null], ['', 'say "x"']])).toBe('a,"b,c"\r\n1,\r\n"","say ""x"""\r\n');
});
