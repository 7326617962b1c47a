import type { ReactElement } from 'react';

import { seriesStyle, type Marker as Shape } from '../theme/theme';

const PATHS: Record<Shape, string> = {
  circle: 'M6 1a5 5 0 1 0 0 10a5 5 0 1 0 0 -10z',
  'triangle-up': 'M6 1L11.2 10.5H0.8z',
  square: 'M1.5 1.5H10.5V10.5H1.5z',
  diamond: 'M6 0.5L11.5 6L6 11.5L0.5 6z',
  'triangle-down': 'M6 11L11.2 1.5H0.8z',
  'triangle-left': 'M1 6L10.5 0.8V11.2z',
  'triangle-right': 'M11 6L1.5 0.8V11.2z',
};

/** The shape and colour of a series: either alone tells it apart. */
export function Marker({ index }: { index: number }): ReactElement {
  const { marker, colour } = seriesStyle(index);
  return (
    <svg className="marker" width="11" height="11" viewBox="0 0 12 12" aria-hidden data-marker={marker}>
      <path d={PATHS[marker]} fill={colour} />
    </svg>
  );
}
