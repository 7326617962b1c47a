import type { Adapter } from '../adapter/adapter';
import { Client, RequestError } from '../adapter/client';
import { tellDesktop } from '../app/desktop';
import { charts } from '../charts/host';
import { en } from '../text/en';
import { addToast, onEvent, onRows, onTarget, onWelcome } from './reduce';
import { LOCAL } from './state';
import { getState, setState, useStore } from './store';

let client: Client | undefined;

/** Connects the store to a studio; the result ends it. */
export function startSession(adapter: Adapter): () => void {
  const session = new Client(adapter, {
    welcome: (welcome) => {
      setState(onWelcome(getState(), welcome));
      if (welcome.api !== session.api) toast('error', en.link.oldPage);
      void refreshHome();
      watchCluster();
    },
    event: (event) => {
      const change = onEvent(getState(), event);
      const began = change.run !== undefined && change.run?.run !== getState().run?.run;
      if (event.event === 'closed' || began) charts.clear();
      setState(change);
      if (event.event === 'closed') void refreshHome();
      if (event.event === 'alert') tellDesktop(event.value);
    },
    chart: (node, bytes) => charts.push(node, bytes),
    rows: (rows) => setState(onRows(getState(), rows)),
    link: (link) => setState({ link }),
    unreadable: (why) => toast('error', en.link.unreadable(why)),
  });
  charts.onTrouble = (why) => toast('warning', why);
  client = session;
  const unfollow = useStore.subscribe((state, before) => {
    if (state.target === before.target) return;
    setState(onTarget(state));
    watchCluster();
  });
  const end = session.start();
  return () => {
    unfollow();
    end();
  };
}

/** Has the studio tell the cluster at the chosen target, where that is a node. */
function watchCluster(): void {
  const { link, target } = getState();
  if (link.is !== 'open') return;
  studio().ask(target === LOCAL ? { ask: 'watch_cluster' } : { ask: 'watch_cluster', target }).catch(showError);
}

/** The client of the running session. */
export function studio(): Client {
  if (client === undefined) throw new Error('no session was started');
  return client;
}

export function toast(severity: 'info' | 'warning' | 'error', message: string): void {
  setState({ toasts: addToast(getState().toasts, severity, message) });
}

/** Shows why a request was refused; anything else is a bug and goes on. */
export function showError(error: unknown): void {
  if (!(error instanceof RequestError)) throw error;
  toast('error', error.error.message);
}

export async function refreshHome(): Promise<void> {
  try {
    const reply = await studio().askFor('home', { ask: 'home' });
    setState({ home: reply.value });
  } catch (error) {
    showError(error);
  }
}
