import { useId, type ReactElement } from 'react';

import type { Finding } from '../generated/api';
import { en } from '../text/en';
import { closed, sentence } from '../text/format';
import { Words } from '../text/Words';
import { findingAt, useForm } from './context';
import { Editor } from './editors';
import { inWords, type FieldInfo, type Shape } from './schema';

/** A field's label: the catalogue's, else its name in words. */
export function labelOf(path: readonly string[]): string {
  const full = path.join('.');
  return en.form.fields[full] ?? inWords(path.at(-1) ?? '');
}

/** Shapes that show the findings of their parts themselves. */
const HAS_PARTS: readonly Shape['is'][] = ['object', 'map', 'list'];

export function Field({ field, path, value }: { field: FieldInfo; path: readonly string[]; value: unknown }): ReactElement {
  const id = useId();
  const form = useForm();
  const finding = findingAt(form, path, !HAS_PARTS.includes(field.shape.is));
  const label = labelOf(path);
  return (
    <div className="form-field" data-field={path.join('.')}>
      <label htmlFor={id} title={field.help === '' ? undefined : field.help} id={`${id}-label`}>
        {label}
        {field.required && value === undefined && <span className="form-required"> · {en.form.required}</span>}
      </label>
      <Editor id={id} label={label} shape={field.shape} path={path} value={value} invalid={finding?.severity === 'error'} />
      {finding !== undefined && <FindingLine finding={finding} path={path} value={value} />}
    </div>
  );
}

/** What is wrong with a field, and the nearest known name as a way out. */
export function FindingLine({ finding, path, value }: { finding: Finding; path: readonly string[]; value?: unknown }): ReactElement {
  const form = useForm();
  const { nearest, found } = finding;
  const mend =
    nearest !== undefined && found !== undefined && typeof value === 'string' && value.includes(found)
      ? () => form.commit(path, value.replaceAll(found, nearest))
      : undefined;
  return (
    <p className={`form-finding ${finding.severity}`} role="alert">
      <Words text={closed(finding.message)} />
      {finding.expected !== undefined && ` ${en.form.expected(finding.expected)}`}
      {nearest !== undefined && ` ${en.form.nearest(nearest)} `}
      {mend !== undefined && !form.readOnly && (
        <button type="button" className="link-button" onClick={mend}>
          {en.form.use}
        </button>
      )}
      {finding.help !== undefined && <Words text={` ${closed(sentence(finding.help))}`} />}
    </p>
  );
}
