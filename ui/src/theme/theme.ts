import tokens from './tokens.json';

/** What the user chose; `system` follows the machine. */
export type ThemeChoice = 'system' | 'light' | 'dark';
export type Theme = 'light' | 'dark';
export type Marker = 'circle' | 'triangle-up' | 'square' | 'diamond' | 'triangle-down' | 'triangle-left' | 'triangle-right';

const KEY = 'millrace.theme';
const dark = (): MediaQueryList => window.matchMedia('(prefers-color-scheme: dark)');

export function storedChoice(): ThemeChoice {
  const stored = localStorage.getItem(KEY);
  return stored === 'light' || stored === 'dark' ? stored : 'system';
}

export function resolveTheme(choice: ThemeChoice): Theme {
  return choice === 'system' ? (dark().matches ? 'dark' : 'light') : choice;
}

/** Shows and remembers a choice. */
export function applyTheme(choice: ThemeChoice): Theme {
  const theme = resolveTheme(choice);
  document.documentElement.dataset['theme'] = theme;
  if (choice === 'system') localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, choice);
  return theme;
}

/** Calls back when the machine's own theme changes. */
export function onSystemTheme(changed: () => void): () => void {
  const query = dark();
  query.addEventListener('change', changed);
  return () => query.removeEventListener('change', changed);
}

/** The marker and the CSS colour of the n-th series, as the charts paint it: of 56 series no two are alike in both. */
export function seriesStyle(index: number): { marker: Marker; colour: string } {
  const { markers, light } = tokens.series;
  return { marker: (markers[index % markers.length] ?? 'circle') as Marker, colour: `var(--series-${index % light.length})` };
}

/** What the charts paint with: the token file's colours of one theme. */
export function chartTheme(theme: Theme): Record<string, string | number | readonly string[]> {
  const { panel, line, ink, mute, accent } = tokens[theme];
  return { panel, line, ink, ink2: mute, accent, series: tokens.series[theme], font_px: 11 };
}
