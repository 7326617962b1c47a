import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, completionStatus } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { bracketMatching } from '@codemirror/language';
import { Compartment, EditorState } from '@codemirror/state';
import { EditorView, keymap } from '@codemirror/view';
import { useEffect, useRef, type ReactElement } from 'react';

import type { Column, FunctionInfo } from '../generated/api';
import { completionSource, type Vocabulary } from './complete';
import { expressionLanguage } from './languages';
import { editorTheme, shadowOf } from './shadow';

interface Props {
  id: string;
  label: string;
  text: string;
  invalid: boolean;
  readOnly: boolean;
  columns: readonly Column[];
  functions: readonly FunctionInfo[];
  aggregate: boolean;
  onDraft: (text: string | undefined) => void;
  onDone: (text: string) => void;
}

const fieldTheme = EditorView.theme({
  '.cm-scroller': { overflow: 'auto', maxHeight: '160px' },
  '.cm-content': { padding: '4px 0' },
  '.cm-line': { padding: '0 9px' },
});

/** A small editor for one expression. Enter, or leaving it, is the end; Shift+Enter is a new line; Escape takes the typing back. */
export function CodeField(props: Props): ReactElement {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | undefined>(undefined);
  const latest = useRef(props);
  const access = useRef(new Compartment());
  useEffect(() => {
    latest.current = props;
  });

  useEffect(() => {
    if (host.current === null) return;
    const root = shadowOf(host.current);
    const vocabulary = (): Vocabulary => latest.current;
    const editor = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        doc: latest.current.text,
        extensions: [
          history(),
          closeBrackets(),
          bracketMatching(),
          expressionLanguage,
          autocompletion({ override: [completionSource(vocabulary)], icons: false }),
          keymap.of([
            { key: 'Enter', run: (target) => completionStatus(target.state) !== 'active' && finish(target, latest.current) },
            { key: 'Mod-Enter', run: (target) => !finish(target, latest.current) },
            { key: 'Escape', run: (target) => completionStatus(target.state) === null && takeBack(target, latest.current) },
            ...closeBracketsKeymap,
            ...completionKeymap,
            ...historyKeymap,
            ...defaultKeymap,
          ]),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ 'aria-label': latest.current.label, spellcheck: 'false' }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged && update.view.hasFocus) latest.current.onDraft(update.state.doc.toString());
          }),
          EditorView.domEventHandlers({
            blur: (_event, target) => {
              finish(target, latest.current);
            },
          }),
          access.current.of(EditorState.readOnly.of(latest.current.readOnly)),
          editorTheme,
          fieldTheme,
        ],
      }),
    });
    view.current = editor;
    return () => editor.destroy();
  }, []);

  // The document's text replaces the editor's, except under the hands of someone who types.
  useEffect(() => {
    const editor = view.current;
    if (editor !== undefined && !editor.hasFocus) replaceText(editor, props.text);
  }, [props.text]);

  useEffect(() => {
    view.current?.dispatch({ effects: access.current.reconfigure(EditorState.readOnly.of(props.readOnly)) });
  }, [props.readOnly]);

  return (
    <div
      ref={host}
      id={props.id}
      className="field-box expression"
      data-takes-text
      aria-invalid={props.invalid}
      onClick={() => view.current?.focus()}
    />
  );
}

function finish(editor: EditorView, props: Props): boolean {
  props.onDone(editor.state.doc.toString());
  return true;
}

function takeBack(editor: EditorView, props: Props): boolean {
  replaceText(editor, props.text);
  props.onDraft(undefined);
  return true;
}

function replaceText(editor: EditorView, text: string): void {
  const length = editor.state.doc.length;
  if (editor.state.doc.toString() !== text) editor.dispatch({ changes: { from: 0, to: length, insert: text } });
}
