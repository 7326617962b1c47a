import { Plus, X } from 'lucide-react';
import { useState, type ReactElement } from 'react';

import { en } from '../text/en';
import { findingAt, FormProvider, useForm } from './context';
import { Editor, type EditorProps } from './editors';
import { FindingLine } from './Field';
import type { Shape } from './schema';
import { Select } from './Select';

/** A list; of columns it is a row of names that can be taken away and added to. */
export function ListEditor(props: EditorProps & { item: Shape }): ReactElement {
  return props.item.is === 'column' ? <ColumnList {...props} /> : <ItemList {...props} />;
}

function ColumnList({ id, label, path, value }: EditorProps): ReactElement {
  const form = useForm();
  const chosen = listOf(value).map(String);
  const left = form.columns.filter((column) => !chosen.includes(column.name));
  const set = (next: string[]): void => form.commit(path, next.length === 0 ? undefined : next);
  return (
    <div className="form-columns" role="group" aria-label={label}>
      {chosen.map((name) => (
        <span key={name} className="form-column mono">
          {name}
          {!form.readOnly && (
            <button type="button" aria-label={en.form.remove(name)} onClick={() => set(chosen.filter((other) => other !== name))}>
              <X size={12} aria-hidden />
            </button>
          )}
        </span>
      ))}
      {!form.readOnly && (left.length > 0 || form.columns.length === 0) && (
        <AddColumn id={id} names={left.map((column) => column.name)} add={(name) => set([...chosen, name])} />
      )}
    </div>
  );
}

function AddColumn({ id, names, add }: { id: string; names: readonly string[]; add: (name: string) => void }): ReactElement {
  const [draft, setDraft] = useState('');
  if (names.length > 0) {
    return (
      <Select
        id={id}
        value={undefined}
        unset={en.form.addColumn}
        options={names.map((name) => ({ value: name, title: name }))}
        choose={(name) => {
          if (name !== undefined) add(name);
        }}
      />
    );
  }
  return (
    <input
      id={id}
      className="field-box mono"
      value={draft}
      placeholder={en.form.addColumn}
      spellCheck={false}
      onChange={(event) => setDraft(event.target.value)}
      onKeyDown={(event) => {
        if (event.key !== 'Enter' || draft.trim() === '') return;
        add(draft.trim());
        setDraft('');
      }}
    />
  );
}

function ItemList({ id, label, path, value, invalid, item }: EditorProps & { item: Shape }): ReactElement {
  const form = useForm();
  const items = listOf(value);
  const [adding, setAdding] = useState(false);
  // A list is set whole: a path into it would not say whether it grows or changes.
  const set = (next: unknown[]): void => form.commit(path, next.length === 0 ? undefined : next);
  const itemForm = (index: number) => ({
    ...form,
    commit: (_: readonly string[], next: unknown) => {
      setAdding(false);
      if (next === undefined && index >= items.length) return;
      set(next === undefined ? items.filter((_one, at) => at !== index) : index < items.length ? items.map((one, at) => (at === index ? next : one)) : [...items, next]);
    },
  });
  const rows = adding ? [...items, undefined] : items;
  return (
    <div className="form-list" role="group" aria-label={label}>
      {rows.map((one, index) => (
        <ListItem key={index} id={index === 0 ? id : `${id}-${index}`} form={itemForm(index)} label={`${label} ${index + 1}`} {...{ path, index, invalid }} shape={item} value={one} />
      ))}
      {!form.readOnly && (
        <button type="button" className="link-button form-add" onClick={() => setAdding(true)}>
          <Plus size={12} aria-hidden /> {en.form.add}
        </button>
      )}
    </div>
  );
}

interface ItemProps extends EditorProps {
  form: ReturnType<typeof useForm>;
  index: number;
}

function ListItem({ form, index, path, ...props }: ItemProps): ReactElement {
  const at = [...path, String(index)];
  const finding = findingAt(form, at, true);
  return (
    <FormProvider value={form}>
      <div className="form-row">
        <Editor {...props} path={at} invalid={finding?.severity === 'error'} />
        {!form.readOnly && (
          <button type="button" className="icon-button" aria-label={en.form.remove(props.label)} onClick={() => form.commit(at, undefined)}>
            <X size={13} aria-hidden />
          </button>
        )}
      </div>
      {finding !== undefined && <FindingLine finding={finding} path={at} value={props.value} />}
    </FormProvider>
  );
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : value === undefined ? [] : [value]);
