import { useState, type ReactElement } from 'react';

import { en } from '../text/en';
import { useForm } from './context';
import { Editor, unsetWords, valueWords, type EditorProps } from './editors';
import { labelOf } from './Field';
import { blank, matches, type Shape } from './schema';
import { Select } from './Select';

interface Choice {
  title: string;
  shape: Shape;
  /** Set where the choice is a word by itself. */
  word?: string;
}

/** One of several shapes: which one, and then its own editor. */
export function ChoiceEditor(props: EditorProps & { options: readonly Shape[] }): ReactElement {
  const { id, path, value, options } = props;
  const form = useForm();
  const choices = options.flatMap((shape) => choicesOf(shape, path));
  const [picked, setPicked] = useState<string | undefined>(undefined);
  const current = choices.find((choice) => (choice.word === undefined ? matches(choice.shape, value) : choice.word === value));
  const shown = value === undefined ? choices.find((choice) => choice.title === picked) : current;

  const choose = (title: string | undefined): void => {
    const choice = choices.find((other) => other.title === title);
    setPicked(title);
    if (choice?.word !== undefined) form.commit(path, choice.word);
    else if (choice === undefined || value !== undefined) form.commit(path, undefined);
  };
  return (
    <>
      <Select id={id} unset={unsetWords(path)} value={shown?.title} options={choices.map(({ title }) => ({ value: title, title }))} choose={choose} />
      {shown !== undefined && shown.word === undefined && (
        <div className="form-choice">
          <Editor {...props} id={`${id}-value`} shape={shown.shape} value={value ?? (shown.shape.is === 'object' ? blank(shown.shape) : undefined)} />
        </div>
      )}
    </>
  );
}

function choicesOf(shape: Shape, path: readonly string[]): Choice[] {
  if (shape.is === 'enum') return shape.options.map((option) => ({ title: valueWords(path, option.value), shape, word: option.value }));
  return [{ title: titleOf(shape, path), shape }];
}

/** What a shape is called among others: a column, or the labels of its fields. */
function titleOf(shape: Shape, path: readonly string[]): string {
  if (shape.is === 'object') return shape.fields.map((field) => labelOf([...path, field.name]).toLowerCase()).join(', ');
  return en.form.shapes[shape.is];
}
