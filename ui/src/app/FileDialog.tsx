import { CornerLeftUp, FileText, Folder, Workflow } from 'lucide-react';
import { useEffect, useState, type ReactElement } from 'react';

import { RequestError } from '../adapter/client';
import type { DirEntry, Directory } from '../generated/api';
import { openDialog, openPath, saveAs, suggestedName } from '../store/actions';
import { studio } from '../store/session';
import { getState } from '../store/store';
import { en } from '../text/en';
import { bytes } from '../text/format';
import { Dialog } from './Dialog';

const close = (): void => openDialog(undefined);

/** Chooses a pipeline, or a place for one, among the folders that the studio may show. */
export function FileDialog({ saving }: { saving: boolean }): ReactElement {
  const [path, setPath] = useState<string | undefined>(undefined);
  const { directory, error } = useDirectory(path);
  const [chosen, setChosen] = useState<DirEntry | undefined>(undefined);
  const [name, setName] = useState(() => suggestedName(getState().document?.name ?? ''));

  const act = async (): Promise<void> => {
    const done = saving ? await saveAs(joinPath(directory?.path ?? '', withSuffix(name))) : chosen !== undefined && (await openPath(chosen.path));
    if (done) close();
  };
  const pick = (entry: DirEntry): void => {
    if (entry.kind === 'folder') {
      setPath(entry.path);
      setChosen(undefined);
    } else {
      setChosen(entry);
      setName(entry.name);
    }
  };

  const ready = directory !== undefined && (saving ? name.trim() !== '' : chosen !== undefined);
  const foot = (
    <>
      <button type="button" className="button" onClick={close}>
        {en.files.cancel}
      </button>
      <button type="button" className="button primary" disabled={!ready} onClick={() => void act()}>
        {saving ? en.files.saveButton : en.files.openButton}
      </button>
    </>
  );
  return (
    <Dialog title={saving ? en.files.save : en.files.open} onClose={close} foot={foot}>
      <p className="mono mute">{directory?.path ?? ''}</p>
      <ul className="file-list scroll" aria-busy={directory === undefined}>
        {error !== undefined && <li className="error">{error}</li>}
        {directory?.parent !== undefined && (
          <li>
            <button type="button" onClick={() => setPath(directory.parent)}>
              <CornerLeftUp size={14} aria-hidden />
              {en.files.up}
            </button>
          </li>
        )}
        {directory?.entries.map((entry) => (
          <Entry key={entry.path} entry={entry} chosen={entry.path === chosen?.path} pick={pick} open={() => void act()} />
        ))}
        {directory?.entries.length === 0 && <li className="empty">{en.files.empty}</li>}
        {directory === undefined && error === undefined && <li className="empty">{en.files.loading}</li>}
      </ul>
      {saving && (
        <label>
          {en.files.name}
          <input className="field-box mono" data-focus value={name} spellCheck={false} onChange={(event) => setName(event.target.value)} />
        </label>
      )}
    </Dialog>
  );
}

interface EntryProps {
  entry: DirEntry;
  chosen: boolean;
  pick: (entry: DirEntry) => void;
  open: () => void;
}

function Entry({ entry, chosen, pick, open }: EntryProps): ReactElement {
  const Shape = entry.kind === 'folder' ? Folder : entry.kind === 'pipeline' ? Workflow : FileText;
  return (
    <li>
      <button
        type="button"
        aria-pressed={chosen}
        disabled={entry.kind === 'file'}
        className={entry.kind === 'file' ? 'mute' : ''}
        onClick={() => pick(entry)}
        onDoubleClick={() => {
          if (entry.kind === 'pipeline') open();
        }}
      >
        <Shape size={14} aria-hidden />
        {entry.name}
        {entry.kind !== 'folder' && <span className="number">{bytes(entry.size_bytes)}</span>}
      </button>
    </li>
  );
}

function useDirectory(path: string | undefined): { directory: Directory | undefined; error: string | undefined } {
  const [directory, setDirectory] = useState<Directory | undefined>(undefined);
  const [error, setError] = useState<string | undefined>(undefined);
  useEffect(() => {
    let current = true;
    studio()
      .askFor('directory', path === undefined ? { ask: 'list_dir' } : { ask: 'list_dir', path })
      .then(
        (reply) => {
          if (!current) return;
          setDirectory(reply.value);
          setError(undefined);
        },
        (failure: unknown) => {
          if (current) setError(failure instanceof RequestError ? failure.error.message : String(failure));
        },
      );
    return () => {
      current = false;
    };
  }, [path]);
  return { directory, error };
}

/** A path in a folder, with the separator that the folder uses. */
export function joinPath(folder: string, name: string): string {
  const separator = folder.includes('\\') && !folder.includes('/') ? '\\' : '/';
  return folder.endsWith(separator) ? `${folder}${name}` : `${folder}${separator}${name}`;
}

/** A name that ends as pipeline files do. */
export function withSuffix(name: string): string {
  const trimmed = name.trim();
  return trimmed.endsWith(en.files.suffix) ? trimmed : `${trimmed.replace(/\.toml$/, '')}${en.files.suffix}`;
}
