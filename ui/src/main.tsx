import '@fontsource/inter/latin-400.css';
import '@fontsource/inter/latin-500.css';
import '@fontsource/inter/latin-600.css';
import '@fontsource/inter/latin-ext-400.css';
import '@fontsource/inter/latin-ext-600.css';
import '@fontsource/jetbrains-mono/latin-400.css';
import '@fontsource/jetbrains-mono/latin-500.css';
import 'virtual:tokens.css';
import './theme/base.css';

import { createRoot } from 'react-dom/client';

import type { Adapter } from './adapter/adapter';
import { BrowserAdapter } from './adapter/browser';
import { DesktopAdapter } from './adapter/desktop';
import { App } from './app/App';
import { startSession } from './store/session';
import { applyTheme, storedChoice } from './theme/theme';

async function chooseAdapter(): Promise<Adapter> {
  // The whole branch, and with it the folder `dev`, is absent from a production build.
  if (import.meta.env.DEV) {
    const scene = new URLSearchParams(window.location.search).get('fake');
    if (scene !== null) return (await import('./dev/scenes')).fakeStudio(scene);
  }
  return window.__TAURI__ === undefined ? new BrowserAdapter() : new DesktopAdapter(window.__TAURI__.core);
}

async function start(): Promise<void> {
  applyTheme(storedChoice());
  const adapter = await chooseAdapter();
  startSession(adapter);
  const root = document.getElementById('root');
  if (root !== null) createRoot(root).render(<App />);
}

void start();
