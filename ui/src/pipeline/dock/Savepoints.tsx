import { BookmarkPlus, History, Zap } from 'lucide-react';
import { useState, type ReactElement } from 'react';

import type { Savepoint } from '../../generated/api';
import { killRun, listSavepoints, restoreFrom, takeSavepoint } from '../../store/actions';
import { isOver, usePhase } from '../../store/select';
import { useStore } from '../../store/store';
import { en } from '../../text/en';
import { bytes, count, eventTime } from '../../text/format';

const NAME = /^[a-z0-9_-]{1,64}$/;

/** Takes a named savepoint of what runs, or goes on from one. */
export function SavepointButtons(): ReactElement {
  const phase = usePhase();
  const local = useStore((state) => state.target === 'local');
  const [open, setOpen] = useState<'take' | 'restore' | undefined>();
  const running = phase === 'running';
  const idle = phase === 'draft' || isOver(phase);
  const toggle = (which: 'take' | 'restore'): void => setOpen(open === which ? undefined : which);
  return (
    <div className="savepoints">
      <div className="savepoints-head">
        <button type="button" className="button" disabled={!running || !local} aria-expanded={open === 'take'} onClick={() => toggle('take')}>
          <BookmarkPlus size={14} aria-hidden /> {en.savepoints.take}
        </button>
        <button type="button" className="button" disabled={!idle || !local} aria-expanded={open === 'restore'} onClick={() => toggle('restore')}>
          <History size={14} aria-hidden /> {en.savepoints.restore}
        </button>
        <button type="button" className="button" disabled={!running} title={en.savepoints.killHelp} onClick={() => void killRun()}>
          <Zap size={14} aria-hidden /> {en.savepoints.kill}
        </button>
        <span className="mute">{local ? (running ? en.savepoints.whileRunning : en.savepoints.atRest) : en.savepoints.elsewhere}</span>
      </div>
      {open === 'take' && running && <Take done={() => setOpen(undefined)} />}
      {open === 'restore' && idle && <Restore done={() => setOpen(undefined)} />}
    </div>
  );
}

function Take({ done }: { done: () => void }): ReactElement {
  const [name, setName] = useState('');
  const good = NAME.test(name);
  return (
    <form
      className="savepoint-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (!good) return;
        void takeSavepoint(name);
        done();
      }}
    >
      <input className="field-box" value={name} placeholder={en.savepoints.name} aria-label={en.savepoints.name} autoFocus onChange={(event) => setName(event.target.value)} />
      <button type="submit" className="button" disabled={!good}>
        {en.savepoints.keep}
      </button>
      {name !== '' && !good && <span className="error">{en.inspector.nameRule}</span>}
    </form>
  );
}

function Restore({ done }: { done: () => void }): ReactElement {
  const [savepoints, setSavepoints] = useState<readonly Savepoint[] | undefined>();
  const [asks, setAsks] = useState<{ name: string; losses: string } | undefined>();
  if (savepoints === undefined) {
    void listSavepoints().then((found) => setSavepoints(found ?? []));
    return <p className="mute savepoint-form">{en.savepoints.looking}</p>;
  }
  if (savepoints.length === 0) return <p className="mute savepoint-form">{en.savepoints.none}</p>;
  const restore = async (name: string, allow: boolean): Promise<void> => {
    const losses = await restoreFrom(name, allow);
    if (losses === undefined) done();
    else setAsks({ name, losses });
  };
  return (
    <>
      <ul className="savepoint-list">
        {savepoints.map((savepoint) => (
          <li key={savepoint.name}>
            <button type="button" className="link-button mono" onClick={() => void restore(savepoint.name, false)}>
              {savepoint.name}
            </button>
            <span className="mute">{en.savepoints.about(count(savepoint.epoch), eventTime(savepoint.at_ms), bytes(savepoint.bytes))}</span>
          </li>
        ))}
      </ul>
      {asks !== undefined && (
        <div className="savepoint-asks" role="alert">
          <p className="warn">{asks.losses}</p>
          <button type="button" className="button" onClick={() => void restore(asks.name, true)}>
            {en.savepoints.restoreAnyway}
          </button>
          <button type="button" className="button" onClick={() => setAsks(undefined)}>
            {en.savepoints.leave}
          </button>
        </div>
      )}
    </>
  );
}
