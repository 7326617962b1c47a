import { useEffect, useRef, useState, type KeyboardEvent, type ReactElement } from 'react';

import { Icon } from '../../app/Icon';
import { useKinds } from '../../store/select';
import { en } from '../../text/en';
import { matchKinds } from '../palette/match';

interface Props {
  /** Window pixels within the canvas. */
  x: number;
  y: number;
  choose: (kind: string) => void;
  close: () => void;
}

/** What can come after a wire that was dropped on the empty canvas. */
export function AddMenu({ x, y, choose, close }: Props): ReactElement {
  const kinds = useKinds();
  const [query, setQuery] = useState('');
  const [at, setAt] = useState(0);
  const element = useRef<HTMLDivElement>(null);
  const found = matchKinds(
    kinds.filter((kind) => kind.inputs.take !== 'none'),
    query,
  );
  useEffect(() => {
    const outside = (event: PointerEvent): void => {
      if (event.target instanceof Node && element.current?.contains(event.target) === false) close();
    };
    window.addEventListener('pointerdown', outside, true);
    return () => window.removeEventListener('pointerdown', outside, true);
  }, [close]);
  const pressed = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') close();
    else if (event.key === 'ArrowDown') setAt(Math.min(at + 1, found.length - 1));
    else if (event.key === 'ArrowUp') setAt(Math.max(at - 1, 0));
    else if (event.key === 'Enter') {
      const kind = found[at];
      if (kind !== undefined) choose(kind.name);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div ref={element} className="add-menu" style={{ left: x, top: y }} role="dialog" aria-label={en.canvas.addMenu} onKeyDown={pressed}>
      <input
        className="field-box"
        autoFocus
        role="combobox"
        aria-expanded
        aria-controls="add-menu-list"
        aria-activedescendant={`add-${found[at]?.name ?? ''}`}
        aria-label={en.canvas.addMenuSearch}
        placeholder={en.canvas.addMenu}
        value={query}
        onChange={(event) => {
          setQuery(event.target.value);
          setAt(0);
        }}
      />
      <ul id="add-menu-list" role="listbox" aria-label={en.canvas.addMenu} className="scroll">
        {found.map((kind, index) => (
          <li
            key={kind.name}
            id={`add-${kind.name}`}
            role="option"
            aria-selected={index === at}
            title={kind.summary}
            onPointerEnter={() => setAt(index)}
            onClick={() => choose(kind.name)}
          >
            <Icon name={kind.icon} />
            {kind.title}
          </li>
        ))}
        {found.length === 0 && <li className="mute">{en.palette.none(query)}</li>}
      </ul>
    </div>
  );
}
