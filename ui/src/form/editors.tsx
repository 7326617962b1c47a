import type { ReactElement } from 'react';

import { en } from '../text/en';
import { ChoiceEditor } from './ChoiceEditor';
import { useForm } from './context';
import { ExpressionEditor } from './ExpressionEditor';
import { Field } from './Field';
import { JsonInput, NumberInput, TextInput } from './inputs';
import { ListEditor } from './ListEditor';
import { MapEditor } from './MapEditor';
import { PathInput } from './PathInput';
import type { Shape } from './schema';
import { Select } from './Select';

export interface EditorProps {
  id: string;
  label: string;
  shape: Shape;
  path: readonly string[];
  value: unknown;
  invalid: boolean;
}

/** The editor for a shape. */
export function Editor(props: EditorProps): ReactElement {
  const { shape } = props;
  switch (shape.is) {
    case 'text':
      return shape.format === 'path' ? <PathInput {...props} /> : <TextInput {...props} format={shape.format} example={shape.example} />;
    case 'expression':
      return <ExpressionEditor {...props} aggregate={shape.aggregate} />;
    case 'column':
      return <ColumnPicker {...props} />;
    case 'number':
      return <NumberInput {...props} shape={shape} />;
    case 'boolean':
      return <BooleanPicker {...props} />;
    case 'enum':
      return <EnumPicker {...props} shape={shape} />;
    case 'list':
      return <ListEditor {...props} item={shape.item} />;
    case 'map':
      return <MapEditor {...props} item={shape.value} />;
    case 'object':
      return <ObjectEditor {...props} shape={shape} />;
    case 'choice':
      return <ChoiceEditor {...props} options={shape.options} />;
    case 'json':
      return <JsonInput {...props} />;
  }
}

/** Words for a value of a choice: the catalogue's, else the value's own. */
export function valueWords(path: readonly string[], value: string): string {
  return en.form.values[`${path.join('.')}.${value}`] ?? en.form.values[`${path.at(-1) ?? ''}.${value}`] ?? value;
}

/** What holds while a field is not set, where that is known. */
export const unsetWords = (path: readonly string[]): string => en.form.unset[path.join('.')] ?? en.form.notSet;

function EnumPicker({ id, path, value, invalid, shape }: EditorProps & { shape: Extract<Shape, { is: 'enum' }> }): ReactElement {
  const form = useForm();
  const options = shape.options.map((option) => ({ value: option.value, title: valueWords(path, option.value), hint: option.help }));
  const shown = typeof value === 'string' ? value : undefined;
  return <Select id={id} invalid={invalid} options={options} value={shown} unset={unsetWords(path)} choose={(next) => form.commit(path, next)} />;
}

function BooleanPicker({ id, path, value, invalid }: EditorProps): ReactElement {
  const form = useForm();
  const options = [
    { value: 'true', title: en.form.yes },
    { value: 'false', title: en.form.no },
  ];
  const shown = typeof value === 'boolean' ? String(value) : undefined;
  return <Select id={id} invalid={invalid} options={options} value={shown} unset={unsetWords(path)} choose={(next) => form.commit(path, next === undefined ? undefined : next === 'true')} />;
}

/** A column of the input, or a name typed by hand where the columns are not known. */
function ColumnPicker(props: EditorProps): ReactElement {
  const { id, path, value, invalid } = props;
  const form = useForm();
  if (form.columns.length === 0) return <TextInput {...props} format="" example="" />;
  const options = form.columns.map((column) => ({ value: column.name, title: column.name, hint: column.type }));
  return (
    <Select id={id} mono invalid={invalid} options={options} value={typeof value === 'string' ? value : undefined} choose={(next) => form.commit(path, next)} />
  );
}

function ObjectEditor({ label, path, value, shape }: EditorProps & { shape: Extract<Shape, { is: 'object' }> }): ReactElement {
  const fields = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  return (
    <div className="form-object" role="group" aria-label={label}>
      {shape.fields.map((field) => (
        <Field key={field.name} field={field} path={[...path, field.name]} value={fields[field.name]} />
      ))}
    </div>
  );
}
