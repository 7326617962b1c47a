import { useEffect, useRef, type ReactElement } from 'react';
import type { EditorView } from '@codemirror/view';

import { selectNode } from '../../store/actions';
import { studio, toast } from '../../store/session';
import type { GraphNode } from '../../generated/api';
import { getState, useStore } from '../../store/store';
import { en } from '../../text/en';
import { createTextEditor, flashLines, markNode, replaceMinimal, revealLineIn, showFindings } from './textEditor';
import { TextSync } from './TextSync';
import { setTypingFlush } from './typing';

/** The file itself. It and the canvas select each other. */
export function TextDock(): ReactElement {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<EditorView | undefined>(undefined);
  const sync = useRef<TextSync | undefined>(undefined);
  const document = useStore((state) => state.document);
  const reveal = useStore((state) => state.reveal);
  const selected = useStore((state) => (state.selection.nodes.length === 1 ? state.selection.nodes[0] : undefined));

  useEffect(() => {
    if (host.current === null) return;
    const view = createTextEditor(host.current, getState().document?.text ?? '', {
      label: en.dock.textLabel,
      typed: () => sync.current?.typed(),
      cursor: (line) => {
        const node = nodeAtLine(getState().document?.graph.nodes ?? [], line);
        if (node !== undefined && getState().selection.nodes[0] !== node.id) selectNode(node.id);
      },
    });
    editor.current = view;
    const made = new TextSync({
      ask: (request) => studio().ask(request),
      text: () => view.state.doc.toString(),
      replace: (text) => replaceMinimal(view, text),
      stale: () => toast('warning', en.dock.stale),
    });
    sync.current = made;
    setTypingFlush(() => made.flush());
    return () => {
      setTypingFlush(undefined);
      made.end();
      view.destroy();
    };
  }, []);

  useEffect(() => {
    const view = editor.current;
    if (document === undefined || view === undefined) return;
    sync.current?.take(document);
    // While more was typed than the studio has seen, its places in the text no longer hold.
    if (view.state.doc.toString() !== document.text) return;
    showFindings(view, document.findings);
    if (document.cause !== 'typed' && document.cause !== 'opened') flashLines(view, document.changed_lines);
  }, [document]);

  const nodes = document?.graph.nodes;
  useEffect(() => {
    const node = nodes?.find((other) => other.id === selected);
    if (editor.current !== undefined) markNode(editor.current, node?.lines);
  }, [selected, nodes]);

  useEffect(() => {
    if (reveal.count > 0 && editor.current !== undefined) revealLineIn(editor.current, reveal.line);
  }, [reveal]);

  return <div ref={host} className="text-dock" data-takes-text />;
}

/** The node whose table holds a line. */
export function nodeAtLine(nodes: readonly GraphNode[], line: number): GraphNode | undefined {
  return nodes.find((node) => node.lines.first <= line && line <= node.lines.last);
}
