// As much of the WebDriver protocol as the desktop test needs: tauri-driver speaks it for the real window.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Starts the driver and a window of `application`; its files go to a folder that is thrown away. */
export async function openWindow(application, args = []) {
  const home = await mkdtemp(join(tmpdir(), 'millrace-desktop-'));
  const [port, native] = [await freePort(), await freePort()];
  const env = { ...process.env, HOME: home, XDG_DATA_HOME: join(home, 'data'), XDG_CONFIG_HOME: join(home, 'config') };
  const driver = spawn(process.env.TAURI_DRIVER ?? 'tauri-driver', ['--port', String(port), '--native-port', String(native)], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
    // A group of its own: the driver starts a second driver, and both have to end.
    detached: true,
  });
  const base = `http://127.0.0.1:${port}`;
  const call = async (method, path, body) => {
    const answer = await fetch(base + path, { method, body: body === undefined ? undefined : JSON.stringify(body) });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${value?.error}: ${value?.message}`);
    return value;
  };
  const capabilities = { alwaysMatch: { 'tauri:options': { application, args } } };
  const { sessionId } = await eventually(() => call('POST', '/session', { capabilities }), 30_000);
  return new Window(call, `/session/${sessionId}`, async () => {
    process.kill(-driver.pid, 'SIGKILL');
    await rm(home, { recursive: true, force: true });
  });
}

/** Tries again until it works or the time is over. */
export async function eventually(attempt, ms = 10_000) {
  const end = Date.now() + ms;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((done) => setTimeout(done, 100));
    }
  }
}

class Window {
  constructor(call, path, cleanUp) {
    Object.assign(this, { call, path, cleanUp });
  }

  /** The element of a CSS selector, as soon as there is one. */
  find(css, ms) {
    return eventually(async () => (await this.call('POST', `${this.path}/element`, { using: 'css selector', value: css }))[ELEMENT], ms);
  }

  async click(css, ms) {
    const element = await this.find(css, ms);
    await this.call('POST', `${this.path}/element/${element}/click`, {});
  }

  run(script, ...args) {
    return this.call('POST', `${this.path}/execute/sync`, { script, args });
  }

  async screenshot() {
    return Buffer.from(await this.call('GET', `${this.path}/screenshot`), 'base64');
  }

  async close() {
    await this.call('DELETE', this.path).catch(() => undefined);
    await this.cleanUp();
  }
}
