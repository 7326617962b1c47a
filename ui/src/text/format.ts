/** Figures as text. A number keeps its width as far as it can, and always has its unit. */

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const upTo = [0, 1, 2, 3].map((digits) => new Intl.NumberFormat('en-US', { maximumFractionDigits: digits, useGrouping: false }));

const SCALES: readonly [number, string][] = [
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
];

/** `64,217` */
export function count(value: number): string {
  return grouped.format(Math.round(value));
}

/** `0.2`, `8.4`, `900`, `12.3k`, `1.05M`: three figures, so that the width stays within five characters. */
export function compact(value: number): string {
  const size = Math.abs(value);
  if (size > 0 && size < 0.05) return '<0.1';
  if (size < 10) return trim(value, 1);
  if (size < 999.5) return String(Math.round(value));
  for (const [scale, letter] of SCALES) {
    // The larger unit begins where rounding would otherwise show four figures.
    if (size >= scale * 0.9995) {
      const scaled = value / scale;
      return `${trim(scaled, Math.abs(scaled) < 9.995 ? 2 : Math.abs(scaled) < 99.95 ? 1 : 0)}${letter}`;
    }
  }
  return String(Math.round(value));
}

function trim(value: number, digits: number): string {
  return (upTo[digits] ?? grouped).format(value);
}

/** `900/s` */
export function rate(value: number): string {
  return `${compact(value)}/s`;
}

/** `4 %`; something that is more than nothing is never 0. */
export function percent(value: number): string {
  if (value > 0 && value < 1) return '<1 %';
  return `${Math.round(value)} %`;
}

/** `1.4`, `12`: how many times something is. */
export function times(value: number): string {
  return trim(value, value < 10 ? 1 : 0);
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');

/** `340 ms`, `4 s`, `2 m 05 s`, `3 h 00 m`, `2 d 04 h`. */
export function span(ms: number): string {
  const size = Math.max(0, ms);
  if (size < SECOND) return `${Math.round(size)} ms`;
  if (size < MINUTE) return `${Math.floor(size / SECOND)} s`;
  if (size < HOUR) return `${Math.floor(size / MINUTE)} m ${two((size % MINUTE) / SECOND)} s`;
  if (size < DAY) return `${Math.floor(size / HOUR)} h ${two((size % HOUR) / MINUTE)} m`;
  return `${Math.floor(size / DAY)} d ${two((size % DAY) / HOUR)} h`;
}

/** How long something quick took: `0.4 ms`, `12 ms`, `1.2 s`, then as {@link span}. */
export function duration(ms: number): string {
  if (ms < 10) return `${trim(ms, 1)} ms`;
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < MINUTE) return `${trim(ms / SECOND, 1)} s`;
  return span(ms);
}

/** `142 MB`, in decimal units as files and memory are mostly given. */
export function bytes(value: number): string {
  if (value < 1e3) return `${Math.round(value)} B`;
  if (value < 1e6) return `${trim(value / 1e3, value < 1e4 ? 1 : 0)} kB`;
  if (value < 1e9) return `${trim(value / 1e6, value < 1e7 ? 1 : 0)} MB`;
  return `${trim(value / 1e9, 2)} GB`;
}

function parts(ms: number): Date | undefined {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

/** Event time: `2013-03-14 09:42 UTC`. */
export function eventClock(ms: number): string {
  const date = parts(ms);
  return date === undefined ? '' : `${day(date)} ${two(date.getUTCHours())}:${two(date.getUTCMinutes())} UTC`;
}

/** Event time with seconds: `2013-03-14 09:42:07`. */
export function eventTime(ms: number): string {
  const date = parts(ms);
  return date === undefined ? '' : `${day(date)} ${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
}

function day(date: Date): string {
  return `${String(date.getUTCFullYear()).padStart(4, '0')}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`;
}

/** The wall clock here: `14:03:21`. */
export function clock(ms: number): string {
  const date = parts(ms);
  return date === undefined ? '' : `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** How long ago, for people: `just now`, `5 minutes ago`, `3 days ago`. */
export function ago(ms: number, nowMs: number): string {
  const words = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
  const passed = nowMs - ms;
  if (passed < MINUTE) return words.format(0, 'second');
  if (passed < HOUR) return words.format(-Math.floor(passed / MINUTE), 'minute');
  if (passed < DAY) return words.format(-Math.floor(passed / HOUR), 'hour');
  return words.format(-Math.floor(passed / DAY), 'day');
}

/** A value of a chart: at most four significant figures. */
export function measure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 100_000) return compact(value);
  if (size >= 1_000) return grouped.format(value);
  return trim(value, size >= 1 ? 1 : 3);
}

/** A sentence of the studio's with its first letter as a sentence has it. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A text that another follows: with a full stop, if it has no end. */
export function closed(text: string): string {
  return text === '' || /[.!?…]$/.test(text) ? text : `${text}.`;
}

/** `1 change`, `2 changes`. */
export function plural(value: number, one: string, many: string): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}
