import { describe, expect, it } from 'vitest';

import { CodecError, decodeFrame, decodeText, encode } from './codec';

const bytes = (kind: number, text: string): Uint8Array => Uint8Array.from([kind, ...new TextEncoder().encode(text)]);

describe('the codec', () => {
  it('writes a request as the studio reads it', () => {
    expect(encode({ id: 7, request: { ask: 'open', path: 'a.millrace.toml' } })).toBe('{"id":7,"request":{"ask":"open","path":"a.millrace.toml"}}');
  });

  it('reads the same message from text and from a frame', () => {
    const text = '{"message":"event","event":{"event":"closed"}}';
    expect(decodeFrame(bytes(0, text))).toEqual(decodeText(text));
  });

  it('takes the node off a chart frame', () => {
    expect(decodeFrame(Uint8Array.from([1, 3, 0x63, 0x70, 0x75, 9, 8]))).toEqual({ is: 'chart', node: 'cpu', bytes: Uint8Array.from([9, 8]) });
  });

  it('reads rows', () => {
    const rows = { subject: { of: 'edge', from: 'a', port: 'out', to: 'b' }, page: { columns: [], rows: [[null, '<b>']], total: 1 } };
    expect(decodeFrame(bytes(2, JSON.stringify(rows)))).toEqual({ is: 'rows', rows });
  });

  it.each([
    ['an empty frame', new Uint8Array()],
    ['an unknown kind', Uint8Array.from([9, 1])],
    ['a chart frame cut short', Uint8Array.from([1, 200, 0x63])],
    ['text that is not UTF-8', Uint8Array.from([0, 0xff, 0xfe])],
    ['text that is not JSON', bytes(0, '{')],
    ['a message without its tag', bytes(0, '{"id":1}')],
  ])('refuses %s with an error and no panic', (_, frame) => {
    expect(() => decodeFrame(frame)).toThrow(CodecError);
  });
});
