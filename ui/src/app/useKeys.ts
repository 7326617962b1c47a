import { useEffect } from 'react';

import { canvasCommands } from '../pipeline/canvas/commands';
import { commandOf, takesText, type Command } from '../keys/keymap';
import {
  copySelection,
  cutSelection,
  duplicateSelection,
  leave,
  openDialog,
  redo,
  removeSelection,
  run,
  save,
  selectNothing,
  startRename,
  stepScaling,
  stop,
  undo,
} from '../store/actions';
import { getState, setState } from '../store/store';
import { flushTyping } from '../pipeline/dock/typing';

/** Listens for the keys of the whole window. */
export function useKeys(): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (event.defaultPrevented) return;
      const command = commandOf(event, takesText(event.target));
      if (command === undefined || !applies(command, event)) return;
      event.preventDefault();
      void carryOut(command);
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, []);
}

const ANYWHERE: readonly Command[] = ['keys', 'open', 'escape'];

/** Whether a command means something now; else the browser keeps the key. */
function applies(command: Command, event: KeyboardEvent): boolean {
  const { document, screen, dialog, conflict } = getState();
  if (dialog !== undefined || conflict !== null) return false;
  if (ANYWHERE.includes(command)) return true;
  if (document === undefined) return false;
  if (command === 'save' || command === 'run' || command === 'stop' || command === 'scaleUp' || command === 'scaleDown' || command === 'undo' || command === 'redo') return true;
  if (screen !== 'pipeline') return false;
  if ((command === 'copy' || command === 'cut') && window.getSelection()?.isCollapsed === false) return false;
  const inControl = event.target instanceof HTMLElement && event.target.closest('[role="tablist"], [role="listbox"], [role="menu"], .scroll, .chart-plot') !== null;
  return !(inControl && event.key.startsWith('Arrow'));
}

async function carryOut(command: Command): Promise<void> {
  const readOnly = getState().document?.broken !== undefined;
  switch (command) {
    case 'undo':
      await flushTyping();
      await undo();
      return;
    case 'redo':
      await redo();
      return;
    case 'save':
      await flushTyping();
      await save();
      return;
    case 'open':
      await leave('open');
      return;
    case 'run':
      await flushTyping();
      await run();
      return;
    case 'stop':
      await stop();
      return;
    case 'scaleUp':
    case 'scaleDown':
      stepScaling(command === 'scaleUp' ? 1 : -1);
      return;
    case 'copy':
      await copySelection();
      return;
    case 'find':
      openDialog({ is: 'find' });
      return;
    case 'keys':
      openDialog({ is: 'keys' });
      return;
    case 'escape':
      setState({ paletteOver: false, scaling: undefined });
      selectNothing();
      return;
    case 'selectAll':
      canvasCommands.selectAll();
      return;
    case 'left':
    case 'right':
    case 'up':
    case 'down':
      canvasCommands.step(command);
      return;
    default:
      if (!readOnly) await change(command);
  }
}

type Change = 'cut' | 'paste' | 'duplicate' | 'remove' | 'rename' | 'nudgeLeft' | 'nudgeRight' | 'nudgeUp' | 'nudgeDown';

async function change(command: Change): Promise<void> {
  switch (command) {
    case 'cut':
      return cutSelection();
    case 'paste':
      return canvasCommands.paste();
    case 'duplicate':
      return duplicateSelection();
    case 'remove':
      return removeSelection();
    case 'rename':
      startRename();
      return;
    case 'nudgeLeft':
      return canvasCommands.nudge(-8, 0);
    case 'nudgeRight':
      return canvasCommands.nudge(8, 0);
    case 'nudgeUp':
      return canvasCommands.nudge(0, -8);
    case 'nudgeDown':
      return canvasCommands.nudge(0, 8);
  }
}
