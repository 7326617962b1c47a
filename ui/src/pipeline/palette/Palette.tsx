import './palette.css';

import { Plus, X } from 'lucide-react';
import { useRef, useState, type PointerEvent, type ReactElement } from 'react';

import { Icon } from '../../app/Icon';
import type { KindInfo } from '../../generated/api';
import { useKinds, useReadOnly } from '../../store/select';
import { setState, useStore } from '../../store/store';
import { en } from '../../text/en';
import { canvasCommands } from '../canvas/commands';
import { byCategory, matchKinds } from './match';

/** The kinds of node. A click adds one after the selection; a drag adds it where it is dropped. */
export function Palette(): ReactElement {
  const over = useStore((state) => state.paletteOver);
  const readOnly = useReadOnly();
  const kinds = useKinds();
  const [query, setQuery] = useState('');
  const found = matchKinds(kinds, query);
  const add = (kind: KindInfo): void => {
    setState({ paletteOver: false });
    void canvasCommands.add(kind.name);
  };
  return (
    <>
      {!over && (
        <button type="button" className="button palette-open" onClick={() => setState({ paletteOver: true })}>
          <Plus size={14} aria-hidden />
          {en.palette.open}
        </button>
      )}
      <aside className={`palette ${over ? 'over' : ''}`} aria-label={en.palette.label}>
        <div className="palette-search">
          <input
            className="field-box"
            type="search"
            placeholder={en.palette.search}
            aria-label={en.palette.search}
            value={query}
            onChange={(event) => setQuery(event.target.value)}
            onKeyDown={(event) => {
              if (event.key === 'Enter' && found[0] !== undefined && !readOnly) add(found[0]);
              if (event.key === 'Escape') setQuery('');
            }}
          />
          <button type="button" className="icon-button palette-close" aria-label={en.palette.close} onClick={() => setState({ paletteOver: false })}>
            <X size={15} aria-hidden />
          </button>
        </div>
        <div className="palette-list scroll">
          {byCategory(found).map((group) => (
            <section key={group.category}>
              <h2 className="section-title">{en.palette.categories[group.category] ?? group.category}</h2>
              <ul>
                {group.kinds.map((kind) => (
                  <li key={kind.name}>
                    <PaletteItem kind={kind} disabled={readOnly} add={add} />
                  </li>
                ))}
              </ul>
            </section>
          ))}
          {found.length === 0 && kinds.length > 0 && <p className="palette-none mute">{en.palette.none(query)}</p>}
        </div>
      </aside>
    </>
  );
}

/** Pixels that the pointer must go before a press is a drag. */
const DRAG_AFTER = 4;

function PaletteItem({ kind, disabled, add }: { kind: KindInfo; disabled: boolean; add: (kind: KindInfo) => void }): ReactElement {
  const start = useRef<{ x: number; y: number } | undefined>(undefined);
  const dragged = useRef(false);
  const [ghost, setGhost] = useState<{ x: number; y: number } | undefined>(undefined);

  const move = (event: PointerEvent): void => {
    const from = start.current;
    if (from === undefined) return;
    if (!dragged.current && Math.hypot(event.clientX - from.x, event.clientY - from.y) < DRAG_AFTER) return;
    dragged.current = true;
    setGhost({ x: event.clientX, y: event.clientY });
  };
  const end = (event: PointerEvent): void => {
    start.current = undefined;
    setGhost(undefined);
    if (!dragged.current) return;
    const under = document.elementFromPoint(event.clientX, event.clientY);
    if (under?.closest('.canvas') === null || under === null) return;
    setState({ paletteOver: false });
    void canvasCommands.addAt(kind.name, event.clientX, event.clientY);
  };
  return (
    <>
      <button
        type="button"
        className="palette-item"
        data-kind={kind.name}
        disabled={disabled}
        title={en.palette.hint(kind.summary)}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          start.current = { x: event.clientX, y: event.clientY };
          dragged.current = false;
          event.currentTarget.setPointerCapture(event.pointerId);
        }}
        onPointerMove={move}
        onPointerUp={end}
        onPointerCancel={() => {
          start.current = undefined;
          setGhost(undefined);
        }}
        onClick={() => {
          if (!dragged.current) add(kind);
          dragged.current = false;
        }}
      >
        <Icon name={kind.icon} />
        {kind.title}
      </button>
      {ghost !== undefined && (
        <div className="palette-ghost" style={{ left: ghost.x, top: ghost.y }} aria-hidden>
          <Icon name={kind.icon} />
          {kind.title}
        </div>
      )}
    </>
  );
}
