/** What keys and other screens ask of the canvas, which alone knows where things stand. It does nothing while no canvas is mounted. */
export interface CanvasCommands {
  /** Brings a node into view. */
  show: (id: string) => void;
  selectAll: () => void;
  /** Moves the selection to the next node on a side. */
  step: (to: 'left' | 'right' | 'up' | 'down') => void;
  /** Moves the selected nodes, in canvas pixels. */
  nudge: (dx: number, dy: number) => Promise<void>;
  paste: () => Promise<void>;
  /** Adds a node where it does not cover another, after the one that is selected. */
  add: (kind: string) => Promise<void>;
  /** Adds a node at a place of the window. */
  addAt: (kind: string, x: number, y: number) => Promise<void>;
}

const NOTHING: CanvasCommands = {
  show: () => undefined,
  selectAll: () => undefined,
  step: () => undefined,
  nudge: () => Promise.resolve(),
  paste: () => Promise.resolve(),
  add: () => Promise.resolve(),
  addAt: () => Promise.resolve(),
};

export const canvasCommands: CanvasCommands = { ...NOTHING };

export function setCanvasCommands(commands: CanvasCommands | undefined): void {
  Object.assign(canvasCommands, commands ?? NOTHING);
}
