import { describe, expect, it, vi } from 'vitest';

import { FRAME_WINDOW, type ClientMessage, type ServerMessage } from '../generated/api';
import type { Adapter, Listener } from './adapter';
import { Client, RequestError } from './client';

function setUp() {
  const sent: ClientMessage[] = [];
  let listener: Listener | undefined;
  const adapter: Adapter = {
    nativeFiles: undefined,
    connect: (given) => {
      listener = given;
      return () => undefined;
    },
    send: (text) => {
      sent.push(JSON.parse(text) as ClientMessage);
      return true;
    },
    saveBytes: () => Promise.resolve(true),
  };
  const events = { welcome: vi.fn(), event: vi.fn(), chart: vi.fn(), rows: vi.fn(), link: vi.fn(), unreadable: vi.fn() };
  const client = new Client(adapter, events);
  client.start();
  if (listener === undefined) throw new Error('the client did not connect');
  const ends = listener;
  const reply = (message: ServerMessage): void => ends.incoming({ is: 'message', message });
  return { client, sent, events, listener: ends, reply };
}

describe('the client', () => {
  it('pairs replies with requests, in any order', async () => {
    const { client, sent, reply } = setUp();
    const first = client.ask({ ask: 'home' });
    const second = client.askFor('text', { ask: 'copy', nodes: ['a'] });
    reply({ message: 'reply', id: sent[1]?.id ?? 0, outcome: { ok: { reply: 'text', value: 'x' } } });
    reply({ message: 'reply', id: sent[0]?.id ?? 0, outcome: { ok: { reply: 'done' } } });
    expect(await second).toEqual({ reply: 'text', value: 'x' });
    expect(await first).toEqual({ reply: 'done' });
  });

  it('gives the studio’s own words where a request is refused', async () => {
    const { client, sent, reply } = setUp();
    const asked = client.ask({ ask: 'save' });
    reply({ message: 'reply', id: sent[0]?.id ?? 0, outcome: { error: { code: 'no_path', message: 'It has no file yet.' } } });
    await expect(asked).rejects.toThrow('It has no file yet.');
  });

  it('refuses what was under way when the link is lost', async () => {
    const { client, listener } = setUp();
    const asked = client.ask({ ask: 'home' });
    listener.link({ is: 'lost', why: 'lost', retryAtMs: 0 });
    await expect(asked).rejects.toBeInstanceOf(RequestError);
  });

  it('greets on every new link', () => {
    const { sent, listener } = setUp();
    listener.link({ is: 'open' });
    listener.link({ is: 'lost', why: 'lost', retryAtMs: 0 });
    listener.link({ is: 'open' });
    expect(sent.filter((message) => message.request.ask === 'hello')).toHaveLength(2);
  });

  it('acknowledges frames before the window is full', () => {
    const { sent, listener, events } = setUp();
    for (let frame = 0; frame < FRAME_WINDOW; frame++) listener.incoming({ is: 'chart', node: 'a', bytes: new Uint8Array() });
    const handled = sent.map((message) => (message.request.ask === 'ack' ? message.request.frames : 0)).reduce((sum, frames) => sum + frames, 0);
    expect(events.chart).toHaveBeenCalledTimes(FRAME_WINDOW);
    expect(handled).toBe(FRAME_WINDOW);
    expect(sent.every((message) => message.id === 0)).toBe(true);
  });
});
