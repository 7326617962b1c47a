import { defaultKeymap, indentWithTab } from '@codemirror/commands';
import { setDiagnostics, type Diagnostic } from '@codemirror/lint';
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
import { Annotation, EditorState, StateEffect, StateField, type Range } from '@codemirror/state';
import { Decoration, drawSelection, EditorView, highlightActiveLineGutter, keymap, lineNumbers, type DecorationSet } from '@codemirror/view';

import { pipelineLanguage } from '../../editor/languages';
import { editorTheme, shadowOf } from '../../editor/shadow';
import type { Finding, LineRange } from '../../generated/api';
import { redo, undo } from '../../store/actions';
import { difference } from './difference';
import { flushTyping } from './typing';

interface Handlers {
  label: string;
  typed: () => void;
  /** The user put the cursor on a line. */
  cursor: (line: number) => void;
}

/** Marks changes that come from the document, which are not typing. */
const fromDocument = Annotation.define<boolean>();

const setFlash = StateEffect.define<readonly LineRange[]>();
const setNode = StateEffect.define<readonly LineRange[]>();

const flashLine = Decoration.line({ class: 'cm-flash' });
const nodeLine = Decoration.line({ class: 'cm-node' });

/** The lines of the ranges that the text has. */
function lineDecorations(state: EditorState, ranges: readonly LineRange[], mark: Decoration): DecorationSet {
  const found: Range<Decoration>[] = [];
  for (const { first, last } of ranges) {
    for (let line = Math.max(1, first); line <= Math.min(last, state.doc.lines); line++) found.push(mark.range(state.doc.line(line).from));
  }
  return Decoration.set(found, true);
}

/** The lines that the last effect named, under one decoration. */
function lineField(effect: typeof setFlash, mark: Decoration): StateField<DecorationSet> {
  return StateField.define<DecorationSet>({
    create: () => Decoration.none,
    update: (before, transaction) => {
      let decorations = before.map(transaction.changes);
      for (const one of transaction.effects) {
        if (one.is(effect)) decorations = lineDecorations(transaction.state, one.value, mark);
      }
      return decorations;
    },
    provide: (field) => EditorView.decorations.from(field),
  });
}

const flashes = lineField(setFlash, flashLine);
const nodeLines = lineField(setNode, nodeLine);

const dockTheme = EditorView.theme({
  '&': { height: '100%' },
  '.cm-scroller': { overflow: 'auto' },
  '.cm-content': { padding: '6px 0' },
  '.cm-node': { boxShadow: 'inset 2px 0 var(--accent)' },
  '.cm-flash': { animation: 'flash 1.6s ease-out' },
  '@media (prefers-reduced-motion: reduce)': { '.cm-flash': { animationDuration: '1ms' } },
  '@keyframes flash': { from: { backgroundColor: 'var(--flash)' }, to: { backgroundColor: 'transparent' } },
});

/** History is the studio's: it covers what the canvas and the forms did, too. */
const studioHistory = keymap.of([
  { key: 'Mod-z', run: () => backwards(undo), preventDefault: true },
  { key: 'Mod-Shift-z', run: () => backwards(redo), preventDefault: true },
  { key: 'Mod-y', run: () => backwards(redo), preventDefault: true },
]);

function backwards(step: () => Promise<boolean>): boolean {
  void flushTyping().then(step);
  return true;
}

export function createTextEditor(host: HTMLElement, text: string, handlers: Handlers): EditorView {
  const root = shadowOf(host);
  return new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        highlightActiveLineGutter(),
        drawSelection(),
        highlightSelectionMatches(),
        search(),
        pipelineLanguage,
        flashes,
        nodeLines,
        studioHistory,
        keymap.of([...searchKeymap, ...defaultKeymap.filter((binding) => binding.key !== 'Mod-Enter'), indentWithTab]),
        EditorView.contentAttributes.of({ 'aria-label': handlers.label, spellcheck: 'false' }),
        EditorView.updateListener.of((update) => {
          const own = update.transactions.some((one) => one.annotation(fromDocument) !== true);
          if (update.docChanged && own) handlers.typed();
          if (update.selectionSet && own && update.view.hasFocus) handlers.cursor(update.state.doc.lineAt(update.state.selection.main.head).number);
        }),
        editorTheme,
        dockTheme,
      ],
    }),
  });
}

/** Replaces only what differs, so that the cursor and the scroll stay where they are. */
export function replaceMinimal(view: EditorView, text: string): void {
  const { from, to, insert } = difference(view.state.doc.toString(), text);
  if (from !== to || insert !== '') view.dispatch({ changes: { from, to, insert }, annotations: fromDocument.of(true) });
}

export function showFindings(view: EditorView, findings: readonly Finding[]): void {
  const length = view.state.doc.length;
  const diagnostics: Diagnostic[] = findings
    .filter((finding) => finding.line > 0)
    .map((finding) => {
      const from = Math.min(finding.start, length);
      const message = [finding.message, finding.expected, finding.help].filter((part) => part !== undefined).join('\n');
      return { from, to: Math.max(from, Math.min(finding.end, length)), severity: finding.severity, message, source: finding.code };
    });
  view.dispatch(setDiagnostics(view.state, diagnostics));
}

/** Lets the lines light up that an edit touched, and shows the first. */
export function flashLines(view: EditorView, ranges: readonly LineRange[]): void {
  // An empty set first: the animation begins anew only on a new element.
  view.dispatch({ effects: setFlash.of([]) });
  view.dispatch({ effects: setFlash.of(ranges) });
  const [first] = ranges;
  if (first !== undefined) scrollTo(view, first.first, 'nearest');
}

/** Marks the table of the selected node, and brings it into view unless the cursor is in it. */
export function markNode(view: EditorView, range: LineRange | undefined): void {
  view.dispatch({ effects: setNode.of(range === undefined ? [] : [range]) });
  if (range !== undefined && !view.hasFocus) scrollTo(view, range.first, 'start');
}

/** Puts the cursor on a line and the line in the middle. */
export function revealLineIn(view: EditorView, line: number): void {
  const at = view.state.doc.line(Math.max(1, Math.min(line, view.state.doc.lines)));
  view.dispatch({ selection: { anchor: at.from }, effects: EditorView.scrollIntoView(at.from, { y: 'center' }) });
  view.focus();
}

function scrollTo(view: EditorView, line: number, y: 'start' | 'nearest'): void {
  const at = view.state.doc.line(Math.max(1, Math.min(line, view.state.doc.lines)));
  view.dispatch({ effects: EditorView.scrollIntoView(at.from, { y, yMargin: y === 'start' ? 0 : 8 }) });
}
