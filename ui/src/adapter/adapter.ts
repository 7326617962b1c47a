import type { Incoming } from './codec';

/** Whether the studio can be heard. */
export type LinkState =
  | { is: 'connecting' }
  | { is: 'open' }
  /** `refused`: it never let us in, so the token or the address is wrong. `lost`: it was there before. */
  | { is: 'lost'; why: 'refused' | 'lost'; retryAtMs: number };

export interface Listener {
  incoming: (incoming: Incoming) => void;
  link: (state: LinkState) => void;
  /** A message that could not be read; the link stays up. */
  unreadable: (why: string) => void;
}

/** The desktop has native file dialogs; the browser lists folders through the studio. */
export interface NativeFiles {
  open: () => Promise<string | null>;
  saveAs: (suggestedName: string) => Promise<string | null>;
}

/** What differs between a desktop window and a browser page: how bytes travel, and how files are chosen. */
export interface Adapter {
  /** Opens the link and keeps it up; the result ends it. */
  connect: (listener: Listener) => () => void;
  /** Sends one encoded message; false where there is no link. */
  send: (text: string) => boolean;
  nativeFiles: NativeFiles | undefined;
  /** Gives the user a file that the page made; false where they declined. */
  saveBytes: (name: string, type: string, bytes: Uint8Array<ArrayBuffer>) => Promise<boolean>;
}
