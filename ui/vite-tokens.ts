import tokens from './src/theme/tokens.json' with { type: 'json' };

const NAME = 'virtual:tokens.css';

const dashed = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const rules = (values: Record<string, string>): string =>
  Object.entries(values)
    .map(([name, value]) => `  --${dashed(name)}: ${value};`)
    .join('\n');

const seriesRules = (colours: readonly string[]): string => colours.map((colour, index) => `  --series-${index}: ${colour};`).join('\n');

/** The token file as CSS variables, the dark ones under `data-theme="dark"`. */
export function tokensCss(): string {
  return [
    `:root {\n${rules(tokens.size)}\n${rules(tokens.font)}\n}`,
    `:root {\n  color-scheme: light;\n${rules(tokens.light)}\n${seriesRules(tokens.series.light)}\n}`,
    `:root[data-theme='dark'] {\n  color-scheme: dark;\n${rules(tokens.dark)}\n${seriesRules(tokens.series.dark)}\n}`,
  ].join('\n');
}

/** Serves {@link tokensCss} as a module, so that one file feeds the style sheet and the charts. */
export const tokensPlugin = {
  name: 'millrace-tokens',
  resolveId: (id: string) => (id === NAME ? `\0${NAME}` : undefined),
  load: (id: string) => (id === `\0${NAME}` ? tokensCss() : undefined),
};
