import './charts.css';

import { useEffect, useRef, type ReactElement, type ReactNode } from 'react';

import { charts } from './host';

/** The part of a screen that charts are painted in. */
export function ChartArea({ children }: { children: ReactNode }): ReactElement {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => (element.current === null ? undefined : charts.mount(element.current)), []);
  return (
    <div ref={element} className="chart-area">
      {children}
    </div>
  );
}
