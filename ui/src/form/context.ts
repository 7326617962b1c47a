import { createContext, useContext } from 'react';

import type { Column, Explanation, Finding } from '../generated/api';

/** What the fields of one form share. */
export interface FormContext {
  /** The node, or none for the pipeline's own settings. */
  node: string | undefined;
  /** The columns that expressions may use, and where they come from. */
  columns: readonly Column[];
  columnsFrom: string;
  findings: readonly Finding[];
  explanations: Readonly<Record<string, Explanation | undefined>>;
  readOnly: boolean;
  /** Sets a value, or removes it where it is undefined. Each call is one edit. */
  commit: (path: readonly string[], value: unknown) => void;
}

const Context = createContext<FormContext | undefined>(undefined);

export const FormProvider = Context.Provider;

export function useForm(): FormContext {
  const form = useContext(Context);
  if (form === undefined) throw new Error('a field outside a form');
  return form;
}

/** The finding at exactly this field, or below it where nothing there could show it. */
export function findingAt(form: FormContext, path: readonly string[], below: boolean): Finding | undefined {
  const name = path.join('.');
  return form.findings.find((finding) => finding.field === name || (below && finding.field?.startsWith(`${name}.`) === true));
}
