// The real desktop app tells an alert of the run on the desktop: seen on the session's bus, where a desktop would take it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { eventually } from './webdriver.mjs';

const root = resolve(fileURLToPath(import.meta.url), '../../..');
const binaries = process.env.MILLRACE_BIN_DIR ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'debug');

test('an alert that tells the desktop is a notification there', { timeout: 120_000 }, async () => {
  const home = await mkdtemp(join(tmpdir(), 'millrace-desktop-'));
  const monitor = spawn('dbus-monitor', ['--session', "interface='org.freedesktop.Notifications'"], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  monitor.stdout.on('data', (part) => (said += part));
  let app;
  try {
    await mkdir(join(home, '.git'));
    await cp(join(root, 'examples/data'), join(home, 'data'), { recursive: true });
    const example = await readFile(join(root, 'examples/departures-2013.millrace.toml'), 'utf8');
    const file = join(home, 'watched.millrace.toml');
    await writeFile(file, `${example}\n[alert.busy_tower]\nfigure = "rows_in"\nnode = "flights"\nabove = 10\nnotify = ["desktop"]\n`);
    // The bus itself answers when the monitor listens.
    await eventually(() => assert.match(said, /NameAcquired|Monitoring|string/), 20_000).catch(() => undefined);
    const env = { ...process.env, HOME: home, XDG_DATA_HOME: join(home, 'share'), XDG_CONFIG_HOME: join(home, 'config') };
    app = spawn(join(binaries, 'millrace-desktop'), ['--run', file], { env, stdio: ['ignore', 'inherit', 'inherit'] });
    await eventually(() => {
      assert.match(said, /member=Notify/);
      assert.match(said, /string "Alert: busy_tower: rows_in of flights above 10: /);
    }, 60_000);
  } finally {
    app?.kill('SIGKILL');
    monitor.kill('SIGKILL');
    await rm(home, { recursive: true, force: true });
  }
});
