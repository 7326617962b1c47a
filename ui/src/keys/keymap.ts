/** What a key does. */
export type Command =
  | 'undo'
  | 'redo'
  | 'copy'
  | 'cut'
  | 'paste'
  | 'duplicate'
  | 'remove'
  | 'rename'
  | 'save'
  | 'open'
  | 'run'
  | 'stop'
  | 'scaleUp'
  | 'scaleDown'
  | 'find'
  | 'selectAll'
  | 'left'
  | 'right'
  | 'up'
  | 'down'
  | 'nudgeLeft'
  | 'nudgeRight'
  | 'nudgeUp'
  | 'nudgeDown'
  | 'escape'
  | 'keys';

type Group = 'edit' | 'run' | 'canvas' | 'other';

interface Binding {
  command: Command;
  group: Group;
  /** As the help shows it. */
  shown: readonly string[];
  key: string;
  ctrl?: boolean;
  shift?: boolean;
  /** Whether it works while a text field has the focus. */
  inText?: boolean;
}

export const BINDINGS: readonly Binding[] = [
  { command: 'undo', group: 'edit', shown: ['Ctrl', 'Z'], key: 'z', ctrl: true, shift: false },
  { command: 'redo', group: 'edit', shown: ['Ctrl', 'Shift', 'Z'], key: 'z', ctrl: true, shift: true },
  { command: 'redo', group: 'edit', shown: ['Ctrl', 'Y'], key: 'y', ctrl: true },
  { command: 'copy', group: 'edit', shown: ['Ctrl', 'C'], key: 'c', ctrl: true },
  { command: 'cut', group: 'edit', shown: ['Ctrl', 'X'], key: 'x', ctrl: true },
  { command: 'paste', group: 'edit', shown: ['Ctrl', 'V'], key: 'v', ctrl: true },
  { command: 'duplicate', group: 'edit', shown: ['Ctrl', 'D'], key: 'd', ctrl: true },
  { command: 'remove', group: 'edit', shown: ['Delete'], key: 'Delete' },
  { command: 'remove', group: 'edit', shown: ['Backspace'], key: 'Backspace' },
  { command: 'rename', group: 'edit', shown: ['F2'], key: 'F2', inText: true },
  { command: 'run', group: 'run', shown: ['Ctrl', 'Enter'], key: 'Enter', ctrl: true, inText: true },
  { command: 'stop', group: 'run', shown: ['Ctrl', '.'], key: '.', ctrl: true, inText: true },
  { command: 'scaleUp', group: 'run', shown: ['Ctrl', '↑'], key: 'ArrowUp', ctrl: true },
  { command: 'scaleDown', group: 'run', shown: ['Ctrl', '↓'], key: 'ArrowDown', ctrl: true },
  { command: 'left', group: 'canvas', shown: ['←'], key: 'ArrowLeft', shift: false },
  { command: 'right', group: 'canvas', shown: ['→'], key: 'ArrowRight', shift: false },
  { command: 'up', group: 'canvas', shown: ['↑'], key: 'ArrowUp', shift: false },
  { command: 'down', group: 'canvas', shown: ['↓'], key: 'ArrowDown', shift: false },
  { command: 'nudgeLeft', group: 'canvas', shown: ['Shift', '←'], key: 'ArrowLeft', shift: true },
  { command: 'nudgeRight', group: 'canvas', shown: ['Shift', '→'], key: 'ArrowRight', shift: true },
  { command: 'nudgeUp', group: 'canvas', shown: ['Shift', '↑'], key: 'ArrowUp', shift: true },
  { command: 'nudgeDown', group: 'canvas', shown: ['Shift', '↓'], key: 'ArrowDown', shift: true },
  { command: 'selectAll', group: 'canvas', shown: ['Ctrl', 'A'], key: 'a', ctrl: true },
  { command: 'find', group: 'canvas', shown: ['Ctrl', 'F'], key: 'f', ctrl: true },
  { command: 'save', group: 'other', shown: ['Ctrl', 'S'], key: 's', ctrl: true, inText: true },
  { command: 'open', group: 'other', shown: ['Ctrl', 'O'], key: 'o', ctrl: true, inText: true },
  { command: 'escape', group: 'other', shown: ['Esc'], key: 'Escape' },
  { command: 'keys', group: 'other', shown: ['?'], key: '?' },
];

export interface KeyPress {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  shiftKey: boolean;
  altKey: boolean;
}

/** The command of a key, or none. `inText`: a text field has the focus, and keeps what it needs for itself. */
export function commandOf(press: KeyPress, inText: boolean): Command | undefined {
  if (press.altKey) return undefined;
  const ctrl = press.ctrlKey || press.metaKey;
  const key = press.key.length === 1 ? press.key.toLowerCase() : press.key;
  return BINDINGS.find(
    (binding) =>
      binding.key === key &&
      (binding.ctrl ?? false) === ctrl &&
      (binding.shift === undefined || binding.shift === press.shiftKey) &&
      (!inText || (binding.inText ?? false)),
  )?.command;
}

/** Whether an element takes typed text. */
export function takesText(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.closest('[data-takes-text]') !== null) return true;
  return target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}
