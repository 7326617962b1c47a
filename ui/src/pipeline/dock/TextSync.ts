import { RequestError } from '../../adapter/client';
import type { Document, Request } from '../../generated/api';

const SEND_AFTER_MS = 300;
/** A pause this long begins a new step of undo. */
const BURST_MS = 1_500;

interface Ends {
  ask: (request: Request) => Promise<unknown>;
  /** What the editor holds. */
  text: () => string;
  /** Puts the document's text into the editor. */
  replace: (text: string) => void;
  /** Says that typing was lost because the text changed meanwhile. */
  stale: () => void;
}

/**
 * Keeps an editor and the document alike. The studio owns the text: typing is sent after a pause, one request at a time, upon the
 * revision that it was typed on; what comes from elsewhere replaces the editor's text, unless it is the echo of the typing itself.
 */
export class TextSync {
  private revision = 0;
  private known = '';
  private sending: Promise<void> | undefined;
  private sent: string | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private lastTyped = 0;
  private burst = false;

  constructor(private readonly ends: Ends) {}

  /** The document changed. */
  take(document: Document): void {
    this.revision = document.revision;
    this.known = document.text;
    const typing = this.sending !== undefined || this.timer !== undefined;
    const echo = document.text === this.sent || document.text === this.ends.text();
    if (document.cause !== 'typed') this.burst = false;
    if (echo && typing) return;
    if (typing) {
      this.drop();
      this.ends.stale();
    }
    if (document.text !== this.ends.text()) this.ends.replace(document.text);
  }

  /** The user typed. */
  typed(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.flush(), SEND_AFTER_MS);
  }

  /** Sends what is left and waits until the studio has it. */
  async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    while (this.sending !== undefined) await this.sending;
    const text = this.ends.text();
    if (text === this.known) return;
    this.sending = this.send(text);
    await this.sending;
  }

  end(): void {
    void this.flush();
  }

  private async send(text: string): Promise<void> {
    const now = Date.now();
    const continues = this.burst && now - this.lastTyped < BURST_MS;
    this.lastTyped = now;
    this.burst = true;
    this.sent = text;
    try {
      await this.ends.ask({ ask: 'set_text', text, base_revision: this.revision, continues });
      this.known = text;
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (error.error.code === 'stale_text') {
        this.drop();
        this.ends.stale();
        this.ends.replace(this.known);
      }
    } finally {
      this.sending = undefined;
      this.sent = undefined;
    }
  }

  private drop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.burst = false;
  }
}
