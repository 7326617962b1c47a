import { describe, expect, it } from 'vitest';

import { en } from '../text/en';
import { BINDINGS, commandOf, type KeyPress } from './keymap';

const press = (key: string, more: Partial<KeyPress> = {}): KeyPress => ({ key, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...more });

describe('the keys', () => {
  it.each([
    ['z', { ctrlKey: true }, 'undo'],
    ['Z', { ctrlKey: true, shiftKey: true }, 'redo'],
    ['y', { ctrlKey: true }, 'redo'],
    ['s', { metaKey: true }, 'save'],
    ['Enter', { ctrlKey: true }, 'run'],
    ['.', { ctrlKey: true }, 'stop'],
    ['F2', {}, 'rename'],
    ['Delete', {}, 'remove'],
    ['?', { shiftKey: true }, 'keys'],
    ['ArrowLeft', {}, 'left'],
    ['ArrowLeft', { shiftKey: true }, 'nudgeLeft'],
  ] as const)('%s with %o is %s', (key, more, command) => {
    expect(commandOf(press(key, more), false)).toBe(command);
  });

  it('leaves a text field what it needs for itself', () => {
    for (const key of ['z', 'y', 'c', 'x', 'v', 'a']) expect(commandOf(press(key, { ctrlKey: true }), true)).toBeUndefined();
    for (const key of ['Delete', 'Backspace', 'ArrowUp', '?', 'Escape']) expect(commandOf(press(key), true)).toBeUndefined();
    expect(commandOf(press('s', { ctrlKey: true }), true)).toBe('save');
  });

  it('takes no key with Alt, nor a letter alone', () => {
    expect(commandOf(press('z', { ctrlKey: true, altKey: true }), false)).toBeUndefined();
    expect(commandOf(press('a'), false)).toBeUndefined();
  });

  it('says of every command what it does', () => {
    for (const { command } of BINDINGS) expect(en.keys.list[command]).toBeTruthy();
  });
});
