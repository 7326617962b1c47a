import { SUBPROTOCOL, TOKEN_SUBPROTOCOL } from '../generated/api';
import type { Adapter, Listener } from './adapter';
import { CodecError, decodeFrame, decodeText, type Incoming } from './codec';

const TOKEN_KEY = 'millrace.token';
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 8_000;

/** Takes the token out of the address into the session's storage, so that no history or bookmark holds it. */
export function takeToken(location: Location, history: History, storage: Storage): string | null {
  const fragment = new URLSearchParams(location.hash.replace(/^#/, ''));
  const query = new URLSearchParams(location.search);
  const token = fragment.get('token') ?? query.get('token');
  if (token !== null) {
    storage.setItem(TOKEN_KEY, token);
    fragment.delete('token');
    query.delete('token');
    const search = query.size > 0 ? `?${query.toString()}` : '';
    const hash = fragment.size > 0 ? `#${fragment.toString()}` : '';
    history.replaceState(null, '', `${location.pathname}${search}${hash}`);
  }
  return storage.getItem(TOKEN_KEY);
}

/** The studio behind a WebSocket of the page's own origin. */
export class BrowserAdapter implements Adapter {
  readonly nativeFiles = undefined;
  private socket: WebSocket | undefined;
  private retryMs = FIRST_RETRY_MS;
  private timer: number | undefined;
  private closed = false;

  connect = (listener: Listener): (() => void) => {
    this.closed = false;
    this.open(listener);
    return () => {
      this.closed = true;
      window.clearTimeout(this.timer);
      this.socket?.close();
    };
  };

  send = (text: string): boolean => {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(text);
    return true;
  };

  saveBytes = (name: string, type: string, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> => {
    const url = URL.createObjectURL(new Blob([bytes], { type }));
    const link = document.createElement('a');
    link.href = url;
    link.download = name;
    link.click();
    // The download reads the address after this task.
    window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
    return Promise.resolve(true);
  };

  private open(listener: Listener): void {
    listener.link({ is: 'connecting' });
    const token = takeToken(window.location, window.history, window.sessionStorage);
    const scheme = window.location.protocol === 'https:' ? 'wss' : 'ws';
    const protocols = token === null ? [SUBPROTOCOL] : [SUBPROTOCOL, `${TOKEN_SUBPROTOCOL}${token}`];
    const socket = new WebSocket(`${scheme}://${window.location.host}/api/session`, protocols);
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.retryMs = FIRST_RETRY_MS;
      listener.link({ is: 'open' });
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => deliver(event.data, listener);
    socket.onclose = () => {
      if (this.closed) return;
      listener.link({ is: 'lost', why: opened ? 'lost' : 'refused', retryAtMs: Date.now() + this.retryMs });
      this.timer = window.setTimeout(() => this.open(listener), this.retryMs);
      this.retryMs = Math.min(this.retryMs * 2, LAST_RETRY_MS);
    };
  }
}

function deliver(data: string | ArrayBuffer, listener: Listener): void {
  let incoming: Incoming;
  try {
    incoming = typeof data === 'string' ? decodeText(data) : decodeFrame(new Uint8Array(data));
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    listener.unreadable(error.message);
    return;
  }
  listener.incoming(incoming);
}
