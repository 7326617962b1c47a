import type { ReactElement } from 'react';

import type { TextDiff } from '../generated/api';
import { BINDINGS } from '../keys/keymap';
import { leaveNow, openDialog, resolveConflict, save } from '../store/actions';
import type { Dialog as DialogState } from '../store/state';
import { useStore } from '../store/store';
import { en } from '../text/en';
import { Dialog } from './Dialog';
import { DiffView } from './DiffView';
import { FileDialog } from './FileDialog';
import { FindDialog } from './FindDialog';
import { TargetDialog } from './TargetDialog';
import { RewindDialog, UpgradeDialog } from './UpgradeDialog';

const close = (): void => openDialog(undefined);

export function Dialogs(): ReactElement | null {
  const dialog = useStore((state) => state.dialog);
  const conflict = useStore((state) => state.conflict);
  if (conflict !== null) return <ConflictDialog path={conflict.path} diff={conflict.diff} />;
  return dialog === undefined ? null : <OneDialog dialog={dialog} />;
}

function OneDialog({ dialog }: { dialog: DialogState }): ReactElement {
  switch (dialog.is) {
    case 'keys':
      return <KeysDialog />;
    case 'open':
      return <FileDialog saving={false} />;
    case 'save_as':
      return <FileDialog saving />;
    case 'target':
      return <TargetDialog />;
    case 'diff':
      return <UpgradeDialog diff={dialog.diff} />;
    case 'would_rewind':
      return <RewindDialog savepoint={dialog.savepoint} why={dialog.why} />;
    case 'unsaved':
      return <UnsavedDialog then={dialog.then} />;
    case 'find':
      return <FindDialog />;
  }
}

function KeysDialog(): ReactElement {
  const groups = ['edit', 'canvas', 'run', 'other'] as const;
  return (
    <Dialog title={en.keys.title} wide onClose={close}>
      <div className="keys-groups">
        {groups.map((group) => (
          <section key={group}>
            <h3 className="section-title">{en.keys.groups[group]}</h3>
            <dl>
              {BINDINGS.filter((binding) => binding.group === group).map((binding) => (
                <div key={binding.shown.join()} className="keys-row">
                  <dt>{en.keys.list[binding.command]}</dt>
                  <dd>
                    {binding.shown.map((key) => (
                      <kbd key={key}>{key}</kbd>
                    ))}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}

function ConflictDialog({ path, diff }: { path: string; diff: TextDiff }): ReactElement {
  return (
    <Dialog title={en.conflict.title} wide>
      <p>{en.conflict.text(path)}</p>
      <DiffView diff={diff} />
      <div className="choices">
        <button type="button" className="choice" onClick={() => void resolveConflict('mine')}>
          <strong>{en.conflict.mine}</strong>
          <span className="mute">{en.conflict.mineHint}</span>
        </button>
        <button type="button" className="choice" onClick={() => void resolveConflict('theirs')}>
          <strong>{en.conflict.theirs}</strong>
          <span className="mute">{en.conflict.theirsHint}</span>
        </button>
      </div>
    </Dialog>
  );
}

function UnsavedDialog({ then }: { then: 'home' | 'new' | 'open' }): ReactElement {
  const name = useStore((state) => state.document?.name ?? '');
  const saveFirst = async (): Promise<void> => {
    if (await save()) await leaveNow(then);
  };
  const foot = (
    <>
      <button type="button" className="button" onClick={close}>
        {en.unsaved.cancel}
      </button>
      <button type="button" className="button" onClick={() => void leaveNow(then)}>
        {en.unsaved.discard}
      </button>
      <button type="button" className="button primary" onClick={() => void saveFirst()}>
        {en.unsaved.save}
      </button>
    </>
  );
  return (
    <Dialog title={en.unsaved.title} onClose={close} foot={foot}>
      <p>{en.unsaved.text(name)}</p>
    </Dialog>
  );
}
