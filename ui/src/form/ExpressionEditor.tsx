import { useEffect, useState, type ReactElement } from 'react';

import { RequestError } from '../adapter/client';
import { CodeField } from '../editor/CodeField';
import type { CheckedField } from '../generated/api';
import { studio } from '../store/session';
import { useStore } from '../store/store';
import { en } from '../text/en';
import { useForm } from './context';
import type { EditorProps } from './editors';

const CHECK_AFTER_MS = 250;
const NO_FUNCTIONS: readonly never[] = [];

/** An SQL expression: it completes columns and functions, and says its type. Leaving it, or Enter, is one edit. */
export function ExpressionEditor({ id, label, path, value, invalid, aggregate }: EditorProps & { aggregate: boolean }): ReactElement {
  const form = useForm();
  const text = typeof value === 'string' ? value : '';
  const [draft, setDraft] = useState<string | undefined>(undefined);
  const functions = useStore((state) => state.welcome?.catalog.functions ?? NO_FUNCTIONS);
  const checked = useCheck(form.node, path, draft === text ? undefined : draft);

  const done = (next: string): void => {
    setDraft(undefined);
    if (next.trim() !== text) form.commit(path, next.trim() === '' ? undefined : next.trim());
  };
  return (
    <>
      <CodeField
        id={id}
        label={label}
        text={text}
        invalid={invalid}
        readOnly={form.readOnly}
        columns={form.columns}
        functions={functions}
        aggregate={aggregate}
        onDraft={setDraft}
        onDone={done}
      />
      <Explain path={path} typing={draft !== undefined && draft !== text} checked={checked} aggregate={aggregate} />
    </>
  );
}

interface ExplainProps {
  path: readonly string[];
  typing: boolean;
  checked: CheckedField | undefined;
  aggregate: boolean;
}

/** The line under an expression: `boolean · columns of flights: 12`. While it is typed, what is wrong so far. */
function Explain({ path, typing, checked, aggregate }: ExplainProps): ReactElement {
  const form = useForm();
  const finding = typing ? checked?.findings.find((one) => one.severity === 'error') : undefined;
  if (finding !== undefined) return <p className="form-explain warn">{finding.message}</p>;
  const type = typing ? checked?.type : form.explanations[path.join('.')]?.type;
  const columns = form.columns.length === 0 ? en.form.noInput : en.form.columnsOf(form.columnsFrom, form.columns.length);
  // Under each of several aggregates the columns would only be said again.
  const parts = [typing && checked === undefined ? en.form.typing : type?.toLowerCase(), aggregate ? undefined : columns];
  return <p className="form-explain">{parts.filter((part) => part !== undefined).join(' · ')}</p>;
}

/** Asks the studio what it thinks of a text that is being typed. */
function useCheck(node: string | undefined, path: readonly string[], draft: string | undefined): CheckedField | undefined {
  const [answer, setAnswer] = useState<{ draft: string; checked: CheckedField } | undefined>(undefined);
  const field = path.join('\u0000');
  useEffect(() => {
    if (draft === undefined || node === undefined || draft.trim() === '') return;
    let current = true;
    const ask = async (): Promise<void> => {
      try {
        const reply = await studio().askFor('checked', { ask: 'check_field', node, path: field.split('\u0000'), value: draft });
        if (current) setAnswer({ draft, checked: reply.value });
      } catch (error) {
        // The check is a courtesy; the edit itself will say what is wrong.
        if (!(error instanceof RequestError)) throw error;
      }
    };
    const timer = window.setTimeout(() => void ask(), CHECK_AFTER_MS);
    return () => {
      current = false;
      window.clearTimeout(timer);
    };
  }, [node, field, draft]);
  return answer?.draft === draft ? answer?.checked : undefined;
}
