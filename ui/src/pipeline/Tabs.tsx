import type { KeyboardEvent, ReactElement, ReactNode } from 'react';

export interface TabItem<Id extends string> {
  id: Id;
  title: ReactNode;
}

interface Props<Id extends string> {
  label: string;
  tabs: readonly TabItem<Id>[];
  shown: Id;
  show: (id: Id) => void;
  /** The panel that the tabs belong to. */
  panel: string;
  children?: ReactNode;
}

/** A row of tabs; the arrow keys go from one to the next. */
export function Tabs<Id extends string>({ label, tabs, shown, show, panel, children }: Props<Id>): ReactElement {
  const moved = (event: KeyboardEvent<HTMLDivElement>): void => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    const at = tabs.findIndex((tab) => tab.id === shown);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    if (step === 0 || next === undefined || !(event.target instanceof HTMLElement) || event.target.role !== 'tab') return;
    event.preventDefault();
    show(next.id);
    event.currentTarget.querySelector<HTMLElement>(`[data-tab="${next.id}"]`)?.focus();
  };
  return (
    <div className="tabs">
      <div className="tab-list" role="tablist" aria-label={label} onKeyDown={moved}>
        {tabs.map((tab) => (
          <button
            key={tab.id}
            type="button"
            role="tab"
            className="tab"
            data-tab={tab.id}
            aria-selected={tab.id === shown}
            aria-controls={panel}
            tabIndex={tab.id === shown ? 0 : -1}
            onClick={() => show(tab.id)}
          >
            {tab.title}
          </button>
        ))}
      </div>
      {children !== undefined && <div className="tabs-end">{children}</div>}
    </div>
  );
}
