import { RequestError } from '../adapter/client';
import type { ConflictChoice, Edit, Request, Savepoint } from '../generated/api';
import { en } from '../text/en';
import { showError, studio, toast } from './session';
import { EMPTY_SELECTION, portName, type Dialog, type DockTab, type EdgeRef, type Screen, type Selection } from './state';
import { getState, setState } from './store';

/** Sends a request whose effect comes back as an event; true where it was carried out. */
async function send(request: Request): Promise<boolean> {
  try {
    await studio().ask(request);
    return true;
  } catch (error) {
    showError(error);
    return false;
  }
}

/** Carries out one gesture, as one step of undo. */
export function edit(...edits: Edit[]): Promise<boolean> {
  return edits.length === 0 ? Promise.resolve(true) : send({ ask: 'edit', edits });
}

export async function rename(node: string, name: string): Promise<boolean> {
  const done = await edit({ edit: 'rename_node', node, name });
  if (done && getState().document?.graph.nodes.some((other) => other.id === name) === true) select({ nodes: [name], edges: [] });
  return done;
}

export async function removeSelection(): Promise<void> {
  const { nodes, edges } = getState().selection;
  const gone = new Set(nodes);
  const cut = edges.filter((edge) => !gone.has(edge.to) && !gone.has(edge.from)).map(disconnectEdit);
  await edit(...cut, ...(nodes.length > 0 ? [{ edit: 'remove_nodes' as const, nodes: [...nodes] }] : []));
}

function disconnectEdit(edge: EdgeRef): Edit {
  const base = { edit: 'disconnect' as const, from: portName(edge.from, edge.port), to: edge.to };
  return edge.input === undefined ? base : { ...base, input: edge.input };
}

export const disconnect = (edge: EdgeRef): Promise<boolean> => edit(disconnectEdit(edge));

export const undo = (): Promise<boolean> => (getState().document?.can_undo === true ? send({ ask: 'undo' }) : Promise.resolve(false));
export const redo = (): Promise<boolean> => (getState().document?.can_redo === true ? send({ ask: 'redo' }) : Promise.resolve(false));

/** Keeps the tables of the selected nodes in the clipboard, as text that can be pasted anywhere. */
export async function copySelection(): Promise<boolean> {
  const nodes = [...getState().selection.nodes];
  if (nodes.length === 0) return false;
  try {
    const reply = await studio().askFor('text', { ask: 'copy', nodes });
    clipboard = reply.value;
    // The system's clipboard may be denied; the page's own goes on working.
    await navigator.clipboard.writeText(reply.value).catch(() => undefined);
    toast('info', en.canvas.copied(nodes.length));
    return true;
  } catch (error) {
    showError(error);
    return false;
  }
}

let clipboard = '';

export async function cutSelection(): Promise<void> {
  if (await copySelection()) await removeSelection();
}

export async function paste(at: [number, number]): Promise<void> {
  const system = await navigator.clipboard.readText().catch(() => '');
  const text = system.includes('[node.') ? system : clipboard;
  if (text === '') toast('info', en.canvas.nothingToPaste);
  else await edit({ edit: 'paste', text, at });
}

export async function duplicateSelection(): Promise<void> {
  const nodes = [...getState().selection.nodes];
  if (nodes.length > 0) await edit({ edit: 'duplicate', nodes, offset: [24, 24] });
}

export function select(selection: Selection): void {
  setState({ selection });
}

export const selectNode = (node: string): void => select({ nodes: [node], edges: [] });

export function selectNothing(): void {
  if (getState().selection !== EMPTY_SELECTION) select(EMPTY_SELECTION);
}

export function startRename(): void {
  const node = getState().selection.nodes[0];
  if (node === undefined) return;
  setState({ inspector: 'settings', renaming: { node, count: getState().renaming.count + 1 } });
}

export function showScreen(screen: Screen): void {
  setState({ screen });
}

export function showDock(dock: DockTab): void {
  setState({ dock });
}

/** Shows the form of an alert, among the pipeline's own settings. */
export function showAlert(alert: string | undefined): void {
  setState({ screen: 'pipeline', selection: EMPTY_SELECTION, alert });
}

/** Adds an alert on late rows, and shows its form. */
export async function addAlert(): Promise<void> {
  const before = new Set(getState().document?.graph.alerts.map((alert) => alert.name));
  if (!(await edit({ edit: 'add_alert', fields: { figure: 'late', above: 100 } }))) return;
  showAlert(getState().document?.graph.alerts.find((alert) => !before.has(alert.name))?.name);
}

/** Fails the tasks of what runs as a crash would; events tell how it goes on. */
export async function killRun(): Promise<void> {
  if (await send({ ask: 'kill' })) toast('info', en.savepoints.killed);
}

/** Empties a node of the cluster at the chosen target, or has it take part again; the cluster tells what comes of it. */
export const drainNode = (member: number, on: boolean): Promise<boolean> => send({ ask: 'drain_node', target: getState().target, member, on });

/** The most tasks of a node: its state is divided into so many groups of keys. */
export const MOST_TASKS = 1_024;

/** Steps the number of tasks that the run is to go on in; {@link rescale} asks for it. */
export function stepScaling(by: number): void {
  const { run, figures, scaling } = getState();
  const now = figures?.parallelism ?? 0;
  if (run?.phase !== 'running' || now === 0) return;
  if (!run.kept) {
    toast('info', en.change.notKept);
    return;
  }
  const wanted = Math.min(Math.max((scaling ?? now) + by, 1), MOST_TASKS);
  setState({ scaling: wanted === now ? undefined : wanted });
}

/** Has the run go on in as many tasks of each node as was stepped to; an event tells how it went. */
export async function rescale(): Promise<void> {
  const { scaling } = getState();
  setState({ scaling: undefined });
  if (scaling !== undefined) await send({ ask: 'rescale', parallelism: scaling, nodes: {} });
}

/** The same for one node. */
export const rescaleNode = (node: string, tasks: number): Promise<boolean> => rescaleNodes({ [node]: tasks });

/** The same for some nodes at once. */
export const rescaleNodes = (nodes: Record<string, number>): Promise<boolean> => send({ ask: 'rescale', nodes });

/** Has a savepoint of the running pipeline taken; an event tells when it is there. */
export async function takeSavepoint(name: string): Promise<void> {
  if (await send({ ask: 'savepoint', name })) toast('info', en.savepoints.asked(name));
}

export async function listSavepoints(): Promise<readonly Savepoint[] | undefined> {
  try {
    return (await studio().askFor('savepoints', { ask: 'savepoints' })).value;
  } catch (error) {
    showError(error);
    return undefined;
  }
}

/** Goes on from a savepoint. What would be lost or come twice by it comes back, to be asked about; undefined where it runs. */
export async function restoreFrom(name: string, allow: boolean): Promise<string | undefined> {
  try {
    await studio().ask({ ask: 'restore_from', name, allow });
    return undefined;
  } catch (error) {
    if (error instanceof RequestError && error.error.code === 'would_lose') return error.error.message;
    showError(error);
    return undefined;
  }
}

export function openDialog(dialog: Dialog | undefined): void {
  setState({ dialog });
}

/** Shows a line in the text dock. */
export function revealLine(line: number): void {
  setState({ screen: 'pipeline', dock: 'text', reveal: { line, count: getState().reveal.count + 1 } });
}

/** Shows a node on the canvas, from another screen. */
export function showNode(node: string): void {
  setState({ screen: 'pipeline', selection: { nodes: [node], edges: [] } });
}

export function dismissToast(id: number): void {
  setState({ toasts: getState().toasts.filter((toast) => toast.id !== id) });
}

// Projects.

type Leave = 'home' | 'new' | 'open';

/** Leaves the project, asking first where there are unsaved changes. */
export async function leave(then: Leave): Promise<void> {
  const document = getState().document;
  if (document?.dirty === true) openDialog({ is: 'unsaved', then });
  else await leaveNow(then);
}

export async function leaveNow(then: Leave): Promise<void> {
  openDialog(undefined);
  if (then === 'open') await chooseAndOpen();
  else if (then === 'new') await send({ ask: 'new' });
  else await send({ ask: 'close', discard: true });
}

async function chooseAndOpen(): Promise<void> {
  const native = studio().adapter.nativeFiles;
  if (native === undefined) openDialog({ is: 'open' });
  else {
    const path = await native.open();
    if (path !== null) await openPath(path);
  }
}

export const openPath = (path: string): Promise<boolean> => send({ ask: 'open', path });
export const openSample = (sample: string): Promise<boolean> => send({ ask: 'open_sample', sample });

/** Saves, asking for a place where the pipeline has none yet; true where it was written. */
export async function save(): Promise<boolean> {
  const document = getState().document;
  if (document === undefined) return false;
  if (document.path !== undefined) return send({ ask: 'save' });
  const native = studio().adapter.nativeFiles;
  if (native === undefined) {
    openDialog({ is: 'save_as' });
    return false;
  }
  const path = await native.saveAs(suggestedName(document.name));
  return path !== null && saveAs(path);
}

export const saveAs = (path: string): Promise<boolean> => send({ ask: 'save_as', path });

/** A file name from a pipeline's name. */
export function suggestedName(name: string): string {
  const stem = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  return `${stem === '' ? 'pipeline' : stem}${en.files.suffix}`;
}

export const resolveConflict = (choice: ConflictChoice): Promise<boolean> => send({ ask: 'resolve_conflict', choice });

// Runs.

/** A run whose target is out of reach is none that could be stopped: another may begin. */
export const isLive = (): boolean => {
  const phase = getState().run?.phase;
  return phase === 'starting' || phase === 'running' || phase === 'draining';
};

export async function run(): Promise<void> {
  const { document, target } = getState();
  if (document === undefined || isLive()) return;
  if (document.broken !== undefined || document.findings.some((finding) => finding.severity === 'error')) {
    setState({ screen: 'pipeline', dock: 'problems' });
    toast('error', en.top.cannotRun);
    return;
  }
  await send({ ask: 'run', target, replay: true });
}

/** Drains; a second time it ends the run at once. */
export async function stop(): Promise<void> {
  if (!isLive()) return;
  const phase = getState().run?.phase;
  await send({ ask: 'stop', abort: phase === 'draining' });
}

export async function restart(): Promise<void> {
  openDialog(undefined);
  await send({ ask: 'restart' });
}

/** Shows what differs, and asks the run what it would keep if it went on like that. */
export async function diffRunning(): Promise<void> {
  try {
    const reply = await studio().askFor('diff', { ask: 'diff_running' });
    setState({ upgrade: undefined });
    openDialog({ is: 'diff', diff: reply.value });
    if (getState().run?.kept === true && getState().run?.phase === 'running') await send({ ask: 'look_at_upgrade' });
  } catch (error) {
    showError(error);
  }
}

/** Has the run go on as the text stood when it was looked at; a toast and the run tell what came of it. */
export async function upgrade(revision: number, allowStateLoss: boolean): Promise<void> {
  openDialog(undefined);
  await send({ ask: 'upgrade', revision, allow_state_loss: allowStateLoss });
}

/** Takes the newest upgrade back to its savepoint; asks first where sinks have shown rows since. */
export async function rollBack(savepoint: string, allow: boolean): Promise<void> {
  openDialog(undefined);
  await send({ ask: 'roll_back', savepoint, allow });
}

export const hideUpgrade = (at: number): void => setState({ upgradeHidden: at });

export async function addTarget(address: string, token: string): Promise<string | undefined> {
  try {
    const reply = await studio().askFor('targets', { ask: 'add_target', address, token });
    const added = reply.value.find((target) => target.id === address || target.id.endsWith(address));
    setState({ targets: reply.value, target: added?.id ?? getState().target, dialog: undefined });
    return undefined;
  } catch (error) {
    if (error instanceof RequestError) return error.error.message;
    throw error;
  }
}
