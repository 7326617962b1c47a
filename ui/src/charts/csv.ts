import type { RowsPage } from '../generated/api';

/** One value as RFC 4180 has it. NULL is nothing; an empty text is quoted, so that the two stay apart. */
export function csvField(value: string | null): string {
  if (value === null) return '';
  return value === '' || /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

export function toCsv(columns: readonly string[], rows: RowsPage['rows']): string {
  const lines = [columns, ...rows].map((row) => row.map((value) => csvField(value)).join(','));
  return `${lines.join('\r\n')}\r\n`;
}
