import type { ReactElement } from 'react';

export function Logo({ size }: { size: number }): ReactElement {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="var(--accent)" strokeWidth="2" strokeLinecap="round" aria-hidden>
      <path d="M2 9.5c2.5-3 4.5-3 7 0s4.5 3 7 0 4-2.5 6-.5" />
      <path d="M2 15.5c2.5-3 4.5-3 7 0s4.5 3 7 0 4-2.5 6-.5" />
    </svg>
  );
}
