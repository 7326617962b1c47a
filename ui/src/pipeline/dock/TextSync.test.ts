import { beforeEach, describe, expect, it, vi } from 'vitest';

import { RequestError } from '../../adapter/client';
import type { Document, Request } from '../../generated/api';
import { difference } from './difference';
import { TextSync } from './TextSync';

const document = (text: string, revision: number, cause: Document['cause'] = 'typed'): Document => ({
  name: '',
  root: '',
  dirty: true,
  revision,
  text,
  graph: { settings: {}, nodes: [], alerts: [], touches: [] },
  findings: [],
  can_undo: true,
  can_redo: false,
  changed_lines: [],
  cause,
  new_nodes: [],
});

describe('typing in the text dock', () => {
  let text = '';
  let asked: Request[] = [];
  let answer: (request: Request) => Promise<unknown> = () => Promise.resolve();
  const stale = vi.fn();
  let sync: TextSync;

  beforeEach(() => {
    vi.useFakeTimers();
    text = 'a';
    asked = [];
    answer = () => Promise.resolve();
    stale.mockClear();
    sync = new TextSync({
      ask: (request) => {
        asked.push(request);
        return answer(request);
      },
      text: () => text,
      replace: (next) => {
        text = next;
      },
      stale,
    });
    sync.take(document('a', 1, 'opened'));
  });

  const type = async (next: string): Promise<void> => {
    text = next;
    sync.typed();
    await vi.advanceTimersByTimeAsync(400);
  };

  it('is sent after a pause, upon the revision it was typed on', async () => {
    await type('ab');
    expect(asked).toEqual([{ ask: 'set_text', text: 'ab', base_revision: 1, continues: false }]);
  });

  it('goes on in one step of undo while it does not pause', async () => {
    await type('ab');
    sync.take(document('ab', 2));
    await type('abc');
    expect(asked.map((request) => request.ask === 'set_text' && request.continues)).toEqual([false, true]);
  });

  it('is not overwritten by its own echo', async () => {
    answer = () => {
      text = 'abc';
      sync.typed();
      sync.take(document('ab', 2));
      return Promise.resolve();
    };
    await type('ab');
    expect(text).toBe('abc');
    expect(stale).not.toHaveBeenCalled();
  });

  it('follows what comes from elsewhere', () => {
    sync.take(document('from a form', 2, 'edited'));
    expect(text).toBe('from a form');
  });

  it('says so when the text changed under it', async () => {
    answer = () => Promise.reject(new RequestError({ code: 'stale_text', message: '' }));
    await type('ab');
    expect(stale).toHaveBeenCalledOnce();
    expect(text).toBe('a');
  });

  it('is sent at once where something else needs it', async () => {
    text = 'ab';
    sync.typed();
    await sync.flush();
    expect(asked).toHaveLength(1);
  });
});

describe('the difference of two texts', () => {
  it.each([
    ['abc', 'abc', { from: 3, to: 3, insert: '' }],
    ['abc', 'abXc', { from: 2, to: 2, insert: 'X' }],
    ['aa', 'aaa', { from: 2, to: 2, insert: 'a' }],
    ['one two', 'one 2', { from: 4, to: 7, insert: '2' }],
    ['', 'x', { from: 0, to: 0, insert: 'x' }],
  ])('from “%s” to “%s”', (before, after, expected) => {
    expect(difference(before, after)).toEqual(expected);
  });
});
