/** Typing in the text dock runs ahead of the studio; before anything that looks at the document it has to be sent. */
let flush: (() => Promise<void>) | undefined;

export function setTypingFlush(next: (() => Promise<void>) | undefined): void {
  flush = next;
}

/** Sends what was typed and not sent yet, and waits until the studio has it. */
export function flushTyping(): Promise<void> {
  return flush?.() ?? Promise.resolve();
}
