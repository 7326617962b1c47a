import type { ReactElement } from 'react';

import { en } from '../text/en';

import { useForm } from './context';
import type { EditorProps } from './editors';
import { DraftInput } from './inputs';

/** A path, relative to the pipeline file. */
export function PathInput({ id, label, path, value, invalid, shape }: EditorProps): ReactElement {
  const form = useForm();
  return (
    <DraftInput
      id={id}
      label={label}
      text={typeof value === 'string' ? value : ''}
      placeholder={shape.is === 'text' && shape.example !== '' ? en.form.example(shape.example) : ''}
      invalid={invalid}
      commit={(draft) => form.commit(path, draft.trim() === '' ? undefined : draft.trim())}
    />
  );
}
