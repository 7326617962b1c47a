import { useEffect, useState, type ReactElement } from 'react';

import type { RowsPage } from '../../generated/api';
import { studio } from '../../store/session';
import { useTap } from '../../store/select';
import type { EdgeRef } from '../../store/state';
import { useStore } from '../../store/store';
import { en } from '../../text/en';
import { RowsTable } from '../RowsTable';

/** Samples an edge while it is shown; also after the link or the run came anew. */
export function useTapping(edge: EdgeRef | undefined): void {
  const welcome = useStore((state) => state.welcome);
  const run = useStore((state) => state.run?.run);
  const { from, port, to } = edge ?? { from: '', port: '', to: '' };
  useEffect(() => {
    if (from === '' || welcome === undefined || run === undefined) return;
    const ask = (on: boolean) => studio().tell({ ask: 'tap', from, port, to, on });
    ask(true);
    return () => ask(false);
  }, [from, port, to, welcome, run]);
}

/** An edge's rows as they come, until they are frozen. */
export function useFreeze(page: RowsPage | undefined): { shown: RowsPage | undefined; frozen: boolean; toggle: () => void } {
  const [kept, setKept] = useState<RowsPage | undefined>(undefined);
  return { shown: kept ?? page, frozen: kept !== undefined, toggle: () => setKept(kept === undefined ? page : undefined) };
}

export function TapTable({ edge, title }: { edge: EdgeRef; title: string }): ReactElement {
  useTapping(edge);
  const page = useTap(edge);
  const { shown, frozen, toggle } = useFreeze(page);
  return (
    <section className="inspector-section">
      <h3 className="section-title">
        {title}{' '}
        <span className="plain">
          · {frozen ? en.inspector.frozen : en.inspector.sampled} ·{' '}
          <button type="button" className="link-button freeze" aria-pressed={frozen} disabled={shown === undefined} onClick={toggle}>
            {frozen ? en.inspector.thaw : en.inspector.freeze}
          </button>
        </span>
      </h3>
      {shown === undefined || shown.rows.length === 0 ? (
        <p className="inspector-note mute">{en.inspector.noRows}</p>
      ) : (
        <div className="tap-rows scroll" tabIndex={0} role="group" aria-label={title}>
          <RowsTable page={shown} limit={8} />
        </div>
      )}
    </section>
  );
}
