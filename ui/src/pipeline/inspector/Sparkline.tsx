import { memo, type ReactElement } from 'react';

import { TRAIL_LENGTH } from '../../store/reduce';

const WIDTH = 200;
const HEIGHT = 28;

/** A small line of the last two minutes, from 0 to its own greatest value. */
export const Sparkline = memo(function Sparkline({ values, label }: { values: readonly number[]; label: string }): ReactElement {
  return (
    <svg className="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <path d={sparkPath(values)} fill="none" stroke="var(--accent)" strokeWidth="1.5" vectorEffect="non-scaling-stroke" />
    </svg>
  );
});

/** The line's path: the newest value at the right end. */
export function sparkPath(values: readonly number[]): string {
  const top = Math.max(...values, 0);
  const step = WIDTH / (TRAIL_LENGTH - 1);
  const from = WIDTH - (values.length - 1) * step;
  const points = values.map((value, index) => {
    const y = HEIGHT - 1.5 - (top === 0 ? 0 : (value / top) * (HEIGHT - 3));
    return `${(from + index * step).toFixed(1)},${y.toFixed(1)}`;
  });
  return points.length === 0 ? '' : `M${points.join('L')}`;
}
