import { describe, expect, it } from 'vitest';

import { tokensCss } from '../../vite-tokens';
import tokens from './tokens.json';

function luminance(colour: string): number {
  const channel = (at: number): number => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.040_45 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

/** Contrast as WCAG 2 has it. */
function contrast(a: string, b: string): number {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return ((light ?? 0) + 0.05) / ((dark ?? 0) + 0.05);
}

describe.each(['light', 'dark'] as const)('the %s theme', (theme) => {
  const colours = tokens[theme];

  it.each([
    ['ink', 'panel'],
    ['ink', 'ground'],
    ['ink', 'accentSoft'],
    ['ink', 'errorSoft'],
    ['ink', 'okSoft'],
    ['ink2', 'panel'],
    ['ink2', 'ground'],
    ['ink2', 'accentSoft'],
    ['mute', 'panel'],
    ['mute', 'ground'],
    ['mute', 'field'],
    ['mute', 'accentSoft'],
    ['mute', 'errorSoft'],
    ['accent', 'panel'],
    ['accent', 'accentSoft'],
    ['accent', 'errorSoft'],
    ['accentInk', 'accent'],
    ['ok', 'panel'],
    ['ok', 'field'],
    ['warn', 'panel'],
    ['warn', 'ground'],
    ['warn', 'warnSoft'],
    ['error', 'panel'],
    ['error', 'errorSoft'],
  ] as const)('%s on %s has a contrast of 4.5 or more', (text, ground) => {
    expect(contrast(colours[text], colours[ground])).toBeGreaterThanOrEqual(4.5);
  });

  it('draws series that stand out from the panel', () => {
    for (const colour of tokens.series[theme]) expect(contrast(colour, colours.panel)).toBeGreaterThanOrEqual(2.2);
  });
});

it('every token becomes a variable of the style sheet', () => {
  const css = tokensCss();
  expect(css).toContain('--accent-soft: #E1F1F4;');
  expect(css).toContain('--top-bar: 44px;');
  expect(css).toMatch(/\[data-theme='dark'\][^}]*--series-7:/s);
});
