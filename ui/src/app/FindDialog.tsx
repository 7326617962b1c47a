import { useState, type ReactElement } from 'react';

import { canvasCommands } from '../pipeline/canvas/commands';
import { openDialog, selectNode } from '../store/actions';
import { useKinds, useNodes } from '../store/select';
import { en } from '../text/en';
import { Dialog } from './Dialog';
import { Icon } from './Icon';

const close = (): void => openDialog(undefined);

/** Finds a node by a part of its name or of its key setting. */
export function FindDialog(): ReactElement {
  const [query, setQuery] = useState('');
  const nodes = useNodes();
  const kinds = useKinds();
  const wanted = query.trim().toLowerCase();
  const found = nodes.filter((node) => node.id.includes(wanted) || node.kind.includes(wanted) || node.key_setting.toLowerCase().includes(wanted));
  const go = (id: string | undefined): void => {
    if (id === undefined) return;
    close();
    selectNode(id);
    canvasCommands.show(id);
  };
  return (
    <Dialog title={en.canvas.find} onClose={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          go(found[0]?.id);
        }}
      >
        <input
          className="field-box"
          data-focus
          value={query}
          aria-label={en.canvas.find}
          placeholder={en.canvas.find}
          onChange={(event) => setQuery(event.target.value)}
        />
      </form>
      <ul className="file-list scroll">
        {found.map((node) => (
          <li key={node.id}>
            <button type="button" onClick={() => go(node.id)}>
              <Icon name={kinds.find((kind) => kind.name === node.kind)?.icon ?? ''} />
              {node.id}
              <span className="number">{node.key_setting}</span>
            </button>
          </li>
        ))}
        {found.length === 0 && <li className="empty">{en.canvas.findNone}</li>}
      </ul>
    </Dialog>
  );
}
