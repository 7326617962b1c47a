// The real window under a display without a screen: it opens a sample, runs it, and shows its rows.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { access, mkdtemp, readFile, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { eventually, openWindow } from './webdriver.mjs';

const root = resolve(fileURLToPath(import.meta.url), '../../..');
const binaries = process.env.MILLRACE_BIN_DIR ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'debug');
const application = join(binaries, 'millrace-desktop');

test('the window opens Departures 2013, runs it, and shows rows in chart and table', { timeout: 120_000 }, async () => {
  const window = await openWindow(application);
  try {
    await window.click('[aria-label="Open the sample Departures 2013"]', 20_000);
    await window.find('[data-node="hourly"]');
    assert.equal(await window.run('return document.querySelector("[data-testid=run-state]").dataset.state'), 'draft', 'opening runs nothing');
    const { width, height } = await window.run('return { width: innerWidth, height: innerHeight }');
    assert.ok(width >= 1024 && height >= 600, `${width}x${height}`);

    await window.click('[title="Run (Ctrl+Enter)"]');
    await eventually(async () => {
      const text = await window.run('return document.querySelector("[data-chart=delays]")?.innerText ?? document.body.innerText');
      assert.match(text, /JFK/);
    }, 40_000);

    await window.run('[...document.querySelectorAll("button")].find((button) => button.textContent.trim() === "Table" || button.title === "Table").click()');
    await eventually(async () => {
      const cells = await window.run('return [...document.querySelectorAll("table td")].map((cell) => cell.textContent)');
      assert.ok(cells.includes('JFK') || cells.includes('EWR'), cells.slice(0, 20).join(' | '));
    }, 20_000);
    await window.click('[title^="Stop"]');
    await eventually(async () => {
      assert.equal(await window.run('return document.querySelector("[data-testid=run-state]").dataset.state'), 'stopped');
    }, 10_000);
  } finally {
    await window.close();
  }
});

test('a page from elsewhere can neither be shown in the window nor call its commands', { timeout: 60_000 }, async () => {
  const window = await openWindow(application);
  try {
    await window.find('[data-testid="run-state"], .home', 20_000);
    await window.run('location.href = "http://tauri.localhost.evil.example/"').catch(() => undefined);
    await new Promise((done) => setTimeout(done, 1_000));
    const where = await window.run('return location.href');
    assert.match(where, /^(tauri:\/\/localhost|http:\/\/tauri\.localhost)(\/|$)/);
  } finally {
    await window.close();
  }
});

// Under WebDriver the web view listens for its driver, so the window is started without one.
test('the window opens no port', { timeout: 60_000 }, async () => {
  const home = await mkdtemp(join(tmpdir(), 'millrace-desktop-'));
  const env = { ...process.env, HOME: home, XDG_DATA_HOME: join(home, 'data'), XDG_CONFIG_HOME: join(home, 'config') };
  const child = spawn(application, [], { env, stdio: 'ignore', detached: true });
  try {
    // Its data folder is there once the window's core has started.
    await eventually(() => access(join(home, 'data')), 20_000);
    await new Promise((done) => setTimeout(done, 2_000));
    assert.equal(child.exitCode, null, 'the window is still open');
    assert.deepEqual(await listeningPorts(child.pid), []);
  } finally {
    process.kill(-child.pid, 'SIGKILL');
    await rm(home, { recursive: true, force: true });
  }
});

/** The TCP ports that a process or one of its children listens on, from the kernel's own tables. */
async function listeningPorts(pid) {
  const parents = new Map();
  for (const name of (await readdir('/proc')).filter((name) => /^[0-9]+$/.test(name))) {
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const isOurs = (id) => id === pid || (parents.has(id) && isOurs(parents.get(id)));
  const sockets = new Set();
  for (const id of [...parents.keys()].filter(isOurs)) {
    for (const fd of await readdir(`/proc/${id}/fd`).catch(() => [])) {
      const inode = /^socket:\[([0-9]+)\]$/.exec(await readlink(`/proc/${id}/fd/${fd}`).catch(() => ''));
      if (inode !== null) sockets.add(inode[1]);
    }
  }
  assert.ok(sockets.size > 0, 'the process has sockets (to the display), so it was looked at');
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')));
  const rows = tables.flatMap((table) => table.split('\n').slice(1)).map((row) => row.trim().split(/\s+/));
  const LISTEN = '0A';
  return rows.filter((row) => row[3] === LISTEN && sockets.has(row[9])).map((row) => row[1]);
}
