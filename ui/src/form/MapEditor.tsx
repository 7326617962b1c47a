import { Plus, X } from 'lucide-react';
import { useState, type ReactElement } from 'react';

import { en } from '../text/en';
import { findingAt, FormProvider, useForm } from './context';
import { Editor, type EditorProps } from './editors';
import { FindingLine } from './Field';
import { DraftInput } from './inputs';
import type { Shape } from './schema';

/** Names with values, like the aggregates of a window: each entry is a name and an editor. */
export function MapEditor({ id, label, path, value, item }: EditorProps & { item: Shape }): ReactElement {
  const form = useForm();
  const map = typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
  const entries = Object.entries(map);
  const [fresh, setFresh] = useState<string | undefined>(undefined);
  // A new name keeps the entry's place, so the map is set whole.
  const rename = (from: string, to: string): void => form.commit(path, Object.fromEntries(entries.map(([key, one]) => [key === from ? to : key, one])));
  const refuse = (name: string): string | undefined => (name.trim() === '' || name.trim() in map ? en.inspector.nameTaken : undefined);
  return (
    <div className="form-map" role="group" aria-label={label}>
      {entries.map(([key, one], index) => {
        const at = [...path, key];
        const finding = findingAt(form, at, true);
        return (
          <div key={key} className="form-entry">
            <div className="form-row">
              <DraftInput id={index === 0 ? id : `${id}-${key}`} label={`${label}: ${en.form.newName}`} text={key} refuse={refuse} commit={(name) => rename(key, name.trim())} />
              {!form.readOnly && (
                <button type="button" className="icon-button" aria-label={en.form.remove(key)} onClick={() => form.commit(at, undefined)}>
                  <X size={13} aria-hidden />
                </button>
              )}
            </div>
            <Editor id={`${id}-${key}-value`} label={key} shape={item} path={at} value={one} invalid={finding?.severity === 'error'} />
            {finding !== undefined && <FindingLine finding={finding} path={at} value={one} />}
          </div>
        );
      })}
      {fresh !== undefined && (
        <FreshEntry
          id={`${id}-fresh`}
          item={item}
          path={path}
          name={fresh}
          taken={(name) => name in map}
          setName={setFresh}
          done={() => setFresh(undefined)}
        />
      )}
      {!form.readOnly && fresh === undefined && (
        <button type="button" className="link-button form-add" onClick={() => setFresh('')}>
          <Plus size={12} aria-hidden /> {en.form.addEntry}
        </button>
      )}
    </div>
  );
}

interface FreshProps {
  id: string;
  item: Shape;
  path: readonly string[];
  name: string;
  taken: (name: string) => boolean;
  setName: (name: string) => void;
  done: () => void;
}

/** An entry that is not in the file yet: it gets there with its value. */
function FreshEntry({ id, item, path, name, taken, setName, done }: FreshProps): ReactElement {
  const trimmed = name.trim();
  const bad = taken(trimmed);
  return (
    <div className="form-entry">
      <div className="form-row">
        <input
          id={id}
          className="field-box mono"
          autoFocus
          value={name}
          placeholder={en.form.newName}
          aria-label={en.form.newName}
          aria-invalid={bad}
          spellCheck={false}
          onChange={(event) => setName(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Escape') done();
          }}
        />
        <button type="button" className="icon-button" aria-label={en.form.remove(name)} onClick={done}>
          <X size={13} aria-hidden />
        </button>
      </div>
      {bad && <p className="form-finding error">{en.inspector.nameTaken}</p>}
      {trimmed !== '' && !bad && <FreshValue key={id} id={`${id}-value`} item={item} path={[...path, trimmed]} label={trimmed} done={done} />}
    </div>
  );
}

function FreshValue({ id, item, path, label, done }: { id: string; item: Shape; path: string[]; label: string; done: () => void }): ReactElement {
  const form = useForm();
  const once = {
    ...form,
    commit: (at: readonly string[], value: unknown) => {
      if (value === undefined) return;
      form.commit(at, value);
      done();
    },
  };
  return (
    <FormProvider value={once}>
      <Editor id={id} label={label} shape={item} path={path} value={undefined} invalid={false} />
    </FormProvider>
  );
}
