import { ChevronDown } from 'lucide-react';
import type { ReactElement } from 'react';

import { en } from '../text/en';
import { useForm } from './context';

interface Props {
  id: string;
  value: string | undefined;
  options: readonly { value: string; title: string; hint?: string }[];
  choose: (value: string | undefined) => void;
  invalid?: boolean;
  mono?: boolean;
  /** What holds while it is unset. */
  unset?: string;
}

const UNSET = '\u0000';

/** A choice of one. A value that is not among the options is shown as it stands. */
export function Select({ id, value, options, choose, invalid = false, mono = false, unset = en.form.notSet }: Props): ReactElement {
  const { readOnly } = useForm();
  const unknown = value !== undefined && !options.some((option) => option.value === value);
  return (
    <span className="select-wrap">
      <select
        id={id}
        className={`field-box ${mono ? 'mono' : ''} ${value === undefined ? 'mute' : ''}`}
        value={value ?? UNSET}
        disabled={readOnly}
        aria-invalid={invalid}
        onChange={(event) => choose(event.target.value === UNSET ? undefined : event.target.value)}
      >
        <option value={UNSET}>{unset}</option>
        {unknown && <option value={value}>{value}</option>}
        {options.map((option) => (
          <option key={option.value} value={option.value} title={option.hint}>
            {option.title}
          </option>
        ))}
      </select>
      <ChevronDown size={13} aria-hidden />
    </span>
  );
}
