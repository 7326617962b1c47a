import type { ClientMessage, RowsFrame, ServerMessage } from '../generated/api';

/** Something that came from the studio. */
export type Incoming =
  | { is: 'message'; message: ServerMessage }
  | { is: 'chart'; node: string; bytes: Uint8Array }
  | { is: 'rows'; rows: RowsFrame };

const MESSAGE = 0;
const CHART = 1;
const ROWS = 2;

const utf8 = new TextDecoder('utf-8', { fatal: true });

export class CodecError extends Error {}

export function encode(message: ClientMessage): string {
  return JSON.stringify(message);
}

/** Reads a text message. */
export function decodeText(text: string): Incoming {
  const value: unknown = parse(text);
  if (typeof value !== 'object' || value === null || !('message' in value)) throw new CodecError('a message without its tag');
  return { is: 'message', message: value as ServerMessage };
}

/** Reads a binary frame; studio/api/src/frame.rs has its layout. */
export function decodeFrame(bytes: Uint8Array): Incoming {
  const kind = bytes[0];
  if (kind === undefined) throw new CodecError('an empty frame');
  const payload = bytes.subarray(1);
  switch (kind) {
    case MESSAGE:
      return decodeText(decodeUtf8(payload));
    case CHART:
      return decodeChart(payload);
    case ROWS:
      return { is: 'rows', rows: parse(decodeUtf8(payload)) as RowsFrame };
    default:
      throw new CodecError(`a frame of the unknown kind ${kind}`);
  }
}

function decodeChart(payload: Uint8Array): Incoming {
  const length = payload[0];
  if (length === undefined || payload.length < 1 + length) throw new CodecError('a chart frame cut short');
  return { is: 'chart', node: decodeUtf8(payload.subarray(1, 1 + length)), bytes: payload.subarray(1 + length) };
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new CodecError('text that is not UTF-8');
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new CodecError('text that is not JSON');
  }
}
