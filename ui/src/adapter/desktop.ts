import type { Adapter, Listener } from './adapter';
import { CodecError, decodeFrame, type Incoming } from './codec';

type InvokeOptions = { headers: Record<string, string> };

/** What the desktop shell puts on the window. */
interface TauriCore {
  invoke: (command: string, args?: Record<string, unknown> | Uint8Array, options?: InvokeOptions) => Promise<unknown>;
  Channel: new () => { onmessage: (message: unknown) => void };
}

declare global {
  interface Window {
    __TAURI__?: { core: TauriCore };
  }
}

export const isDesktop = (): boolean => window.__TAURI__ !== undefined;

/** The studio in the same process, behind the desktop shell's commands (studio/api/src/lib.rs lists them). */
export class DesktopAdapter implements Adapter {
  private open = false;
  /** Commands run side by side in the shell; one after the other they keep their order. */
  private sending: Promise<unknown> = Promise.resolve();

  constructor(private readonly core: TauriCore) {}

  readonly nativeFiles = {
    open: async (): Promise<string | null> => pathOf(await this.core.invoke('choose_open', {})),
    saveAs: async (name: string): Promise<string | null> => pathOf(await this.core.invoke('choose_save', { name })),
  };

  connect = (listener: Listener): (() => void) => {
    listener.link({ is: 'connecting' });
    const channel = new this.core.Channel();
    channel.onmessage = (message) => deliver(message, listener);
    this.core.invoke('subscribe', { channel }).then(
      () => {
        this.open = true;
        listener.link({ is: 'open' });
      },
      () => listener.link({ is: 'lost', why: 'refused', retryAtMs: 0 }),
    );
    return () => {
      this.open = false;
    };
  };

  send = (text: string): boolean => {
    if (!this.open) return false;
    // A failure to carry a message is the shell's end; the window goes with it.
    this.sending = this.sending.then(() => this.core.invoke('request', { message: text })).catch(() => undefined);
    return true;
  };

  saveBytes = async (name: string, _type: string, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> =>
    (await this.core.invoke('save_bytes', bytes, { headers: { name: encodeURIComponent(name) } })) === true;
}

function pathOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function deliver(message: unknown, listener: Listener): void {
  let incoming: Incoming;
  try {
    incoming = decodeFrame(bytesOf(message));
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    listener.unreadable(error.message);
    return;
  }
  listener.incoming(incoming);
}

/** Small raw payloads may reach the page as an array of numbers. */
function bytesOf(message: unknown): Uint8Array {
  if (message instanceof ArrayBuffer) return new Uint8Array(message);
  if (message instanceof Uint8Array) return message;
  if (Array.isArray(message)) return Uint8Array.from(message as number[]);
  throw new CodecError('a channel message that is not bytes');
}
