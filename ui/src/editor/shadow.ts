import { EditorView } from '@codemirror/view';
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { tags } from '@lezer/highlight';

/**
 * The shadow root that an editor lives in. CodeMirror then styles itself by constructed style sheets, which a content security policy
 * without inline styles allows; in the document it would add a style element. The custom properties of the theme reach into it.
 */
export function shadowOf(host: HTMLElement): ShadowRoot {
  return host.shadowRoot ?? host.attachShadow({ mode: 'open' });
}

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--accent)' },
  { tag: tags.heading, color: 'var(--accent)', fontWeight: '500' },
  { tag: tags.propertyName, color: 'var(--ink)' },
  { tag: tags.string, color: 'var(--ok)' },
  { tag: tags.number, color: 'var(--warn)' },
  { tag: tags.bool, color: 'var(--warn)' },
  { tag: tags.comment, color: 'var(--mute)', fontStyle: 'italic' },
  { tag: tags.function(tags.name), color: 'var(--accent)' },
  { tag: tags.operator, color: 'var(--ink2)' },
]);

/** The look of every editor: the tokens' colours, the interface's mono type. */
export const editorTheme = [
  syntaxHighlighting(colours),
  EditorView.theme({
    '&': { color: 'var(--ink)', fontSize: 'var(--mono-size)', height: '100%' },
    '&.cm-focused': { outline: 'none' },
    '.cm-scroller': { fontFamily: 'var(--font-mono)', fontVariantLigatures: 'none', lineHeight: '18px', scrollbarWidth: 'thin', scrollbarColor: 'var(--line-strong) transparent' },
    '.cm-content': { caretColor: 'var(--ink)' },
    '.cm-cursor': { borderLeftColor: 'var(--ink)' },
    '.cm-gutters': { backgroundColor: 'var(--panel)', color: 'var(--mute)', border: 'none' },
    '.cm-lineNumbers .cm-gutterElement': { padding: '0 10px 0 14px', minWidth: '40px' },
    '.cm-activeLine': { backgroundColor: 'transparent' },
    '.cm-activeLineGutter': { backgroundColor: 'transparent', color: 'var(--ink)' },
    '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'var(--accent-soft)' },
    '.cm-selectionMatch': { backgroundColor: 'var(--accent-soft)' },
    '.cm-tooltip': { backgroundColor: 'var(--panel)', color: 'var(--ink)', border: '1px solid var(--line-strong)', borderRadius: '4px', fontFamily: 'var(--font-text)', fontSize: 'var(--text-size)', zIndex: '40' },
    '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--font-mono)', fontSize: 'var(--mono-size)', maxHeight: '200px' },
    '.cm-tooltip-autocomplete ul li': { lineHeight: '22px', padding: '0 8px' },
    '.cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: 'var(--accent-soft)', color: 'var(--ink)' },
    '.cm-completionDetail': { color: 'var(--mute)', fontStyle: 'normal', marginLeft: '12px' },
    '.cm-completionMatchedText': { textDecoration: 'none', color: 'var(--accent)' },
    '.cm-completionInfo': { maxWidth: '260px', padding: '6px 10px' },
    '.cm-diagnostic': { padding: '6px 10px', borderLeftWidth: '3px' },
    '.cm-diagnostic-error': { borderLeftColor: 'var(--error)' },
    '.cm-diagnostic-warning': { borderLeftColor: 'var(--warn)' },
    '.cm-lintRange-error': { backgroundImage: 'none', textDecoration: 'underline wavy var(--error)', textUnderlineOffset: '3px' },
    '.cm-lintRange-warning': { backgroundImage: 'none', textDecoration: 'underline wavy var(--warn)', textUnderlineOffset: '3px' },
    '.cm-panels': { backgroundColor: 'var(--panel)', color: 'var(--ink)', borderTop: '1px solid var(--line)' },
    '.cm-panel input, .cm-panel button': { fontFamily: 'var(--font-text)', fontSize: '12px', color: 'var(--ink)', background: 'var(--field)', border: '1px solid var(--line)', borderRadius: '4px' },
    '.cm-searchMatch': { backgroundColor: 'var(--warn-soft)' },
    '.cm-searchMatch-selected': { outline: '1px solid var(--warn)' },
    '.cm-placeholder': { color: 'var(--mute)' },
  }),
];
