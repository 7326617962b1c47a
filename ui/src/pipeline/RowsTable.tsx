import { memo, type ReactElement } from 'react';

import type { Column, RowsPage } from '../generated/api';

const NUMBERS = /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*)$/;

export const isNumeric = (column: Column): boolean => NUMBERS.test(column.type);

/** Rows as they are: values are text and never markup, NULL is told apart from an empty text. */
export const RowsTable = memo(function RowsTable({ page, limit }: { page: RowsPage; limit?: number }): ReactElement {
  const rows = limit === undefined ? page.rows : page.rows.slice(-limit);
  return (
    <table className="rows-table">
      <thead>
        <tr>
          {page.columns.map((column) => (
            <th key={column.name} scope="col" title={column.type} className={isNumeric(column) ? 'right' : ''}>
              {column.name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row, index) => (
          <tr key={index}>
            {page.columns.map((column, at) => (
              <Cell key={column.name} value={row[at]} type={column.type} right={isNumeric(column)} />
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
});

function Cell({ value, type, right }: { value: string | null | undefined; type: string; right: boolean }): ReactElement {
  const align = right ? 'right' : '';
  if (value === null || value === undefined) return <td className={`null ${align}`}>NULL</td>;
  return (
    <td className={align} title={value}>
      {type === 'TIMESTAMP' ? shortTime(value) : type === 'DOUBLE' || type === 'FLOAT' ? shortNumber(value) : value}
    </td>
  );
}

/** A time without the seconds that say nothing: `2013-03-14 12:35`. */
export function shortTime(value: string): string {
  return value.replace('T', ' ').replace(/(:00)?(\.0+)?(Z|\+00)?$/, '');
}

/** A float with at most six decimals that say something: `6.555556`, `0.0000123457`. */
export function shortNumber(value: string): string {
  const number = Number(value);
  if (!/^-?\d+\.\d{7,}$/.test(value) || !Number.isFinite(number)) return value;
  if (Math.abs(number) >= 1 || number === 0) return number.toFixed(6).replace(/\.?0+$/, '');
  const leading = -Math.floor(Math.log10(Math.abs(number))) - 1;
  return number.toFixed(Math.min(100, leading + 6)).replace(/\.?0+$/, '');
}
