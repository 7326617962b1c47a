import { useState, type ReactElement } from 'react';

import { en } from '../text/en';
import { useForm } from './context';
import type { EditorProps } from './editors';
import { fitsFormat, type Shape } from './schema';

interface DraftInputProps {
  id: string;
  /** The text as the document has it. */
  text: string;
  placeholder?: string;
  mono?: boolean;
  invalid?: boolean;
  label?: string;
  /** Why a text cannot stand, or nothing. */
  refuse?: (text: string) => string | undefined;
  commit: (text: string) => void;
}

/** A text field that is one edit when it is left or Enter is pressed; Escape takes the typing back. */
export function DraftInput({ id, text, placeholder = '', mono = true, invalid = false, label, refuse, commit }: DraftInputProps): ReactElement {
  const { readOnly } = useForm();
  const [draft, setDraft] = useState<string | undefined>(undefined);
  const refusal = draft === undefined || draft === text ? undefined : refuse?.(draft);
  const done = (): void => {
    if (draft !== undefined && draft !== text && refusal === undefined) commit(draft);
    if (refusal === undefined) setDraft(undefined);
  };
  return (
    <>
      <input
        id={id}
        className={`field-box ${mono ? 'mono' : ''}`}
        value={draft ?? text}
        placeholder={placeholder}
        aria-label={label}
        aria-invalid={invalid || refusal !== undefined}
        readOnly={readOnly}
        spellCheck={false}
        autoComplete="off"
        onChange={(event) => setDraft(event.target.value)}
        onBlur={done}
        onKeyDown={(event) => {
          if (event.key === 'Enter') done();
          if (event.key === 'Escape') setDraft(undefined);
        }}
      />
      {refusal !== undefined && <p className="form-finding error">{refusal}</p>}
    </>
  );
}

const HINTS: Record<string, string> = {
  duration: en.form.duration,
  'window-size': en.form.windowSize,
  size: en.form.size,
  rate: en.form.rate,
  speed: en.form.speed,
};

export function TextInput({ id, label, path, value, invalid, format, example }: EditorProps & { format: string; example: string }): ReactElement {
  const form = useForm();
  const text = typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);
  return (
    <DraftInput
      id={id}
      label={label}
      text={text}
      placeholder={example === '' ? '' : en.form.example(example)}
      invalid={invalid}
      refuse={(draft) => (draft.trim() === '' || fitsFormat(format, draft) ? undefined : HINTS[format])}
      commit={(draft) => form.commit(path, draft.trim() === '' ? undefined : draft.trim())}
    />
  );
}

export function NumberInput({ id, label, path, value, invalid, shape }: EditorProps & { shape: Extract<Shape, { is: 'number' }> }): ReactElement {
  const form = useForm();
  const refuse = (draft: string): string | undefined => {
    if (draft.trim() === '') return undefined;
    const number = Number(draft);
    if (Number.isNaN(number) || (shape.integer && !Number.isInteger(number))) return en.form.number;
    const [min, max] = [shape.min ?? -Infinity, shape.max ?? Infinity];
    return number < min || number > max ? en.form.between(min, max) : undefined;
  };
  return (
    <DraftInput
      id={id}
      label={label}
      text={typeof value === 'number' || typeof value === 'string' ? String(value) : ''}
      invalid={invalid}
      refuse={refuse}
      commit={(draft) => form.commit(path, draft.trim() === '' ? undefined : Number(draft))}
    />
  );
}

/** A value of a shape that has no form of its own, as JSON. */
export function JsonInput({ id, label, path, value, invalid }: EditorProps): ReactElement {
  const form = useForm();
  const read = (draft: string): unknown => {
    try {
      return JSON.parse(draft) as unknown;
    } catch {
      return undefined;
    }
  };
  return (
    <DraftInput
      id={id}
      label={label}
      text={value === undefined ? '' : JSON.stringify(value)}
      invalid={invalid}
      refuse={(draft) => (draft.trim() === '' || read(draft) !== undefined ? undefined : en.form.badJson)}
      commit={(draft) => form.commit(path, draft.trim() === '' ? undefined : read(draft))}
    />
  );
}
