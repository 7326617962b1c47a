// What the browser tests share: the real studio in a process of its own, and a real browser on it.

import { execFile, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const root = resolve(fileURLToPath(import.meta.url), '../../..');
const binaries = process.env.MILLRACE_BIN_DIR ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'debug');

/** Flags that keep Chromium off the network and draw without a graphics card. */
const FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-gl=angle',
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
  '--ignore-gpu-blocklist',
  '--enable-gpu-rasterization',
];

/** An empty project folder with the samples' data in it. */
export async function project() {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-browser-'));
  await mkdir(join(folder, '.git'));
  await cp(join(root, 'examples'), folder, { recursive: true });
  return { folder, path: (name) => join(folder, name), write: (name, text) => writeFile(join(folder, name), text) };
}

/** Starts a program and waits for a line of its output. */
function started(command, args, cwd, wanted, input, env = {}) {
  const child = spawn(join(binaries, command), args, { cwd, env: { ...process.env, ...env }, stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'inherit'] });
  input?.pipe(child.stdin).on('error', () => undefined);
  const lines = createInterface({ input: child.stdout });
  const found = new Promise((done, failed) => {
    const seen = [];
    lines.on('line', (line) => {
      seen.push(line);
      const hits = wanted.map((pattern) => seen.map((text) => pattern.exec(text)?.[1]).find(Boolean));
      if (hits.every(Boolean)) done(hits);
    });
    child.on('exit', (code) => failed(new Error(`${command} ended with ${code}: ${seen.join(' | ')}`)));
  });
  return { child, found };
}

/** `millrace` to its end: its exit code and what it said. */
export function millrace(args, cwd) {
  return new Promise((done) => {
    execFile(join(binaries, 'millrace'), args, { cwd }, (error, stdout, stderr) => done({ code: error === null ? 0 : error.code, stdout, stderr }));
  });
}

/**
 * `millrace studio` in a project folder, with a stream as its standard input if one is given, and more in its environment. What it keeps lies in
 * `where.data`, where there is one, and outlasts it.
 */
export async function studio(where, args = [], input = undefined, env = {}) {
  const data = where.data ?? (await mkdtemp(join(tmpdir(), 'millrace-data-')));
  const { child, found } = started('millrace', ['studio', '--listen', '127.0.0.1:0', '--data-dir', data, ...args], where.folder, [/(http:\S+)/], input, env);
  const [url] = await found;
  return {
    url,
    async end() {
      child.kill('SIGKILL');
      if (where.data !== undefined) return;
      await rm(data, { recursive: true, force: true });
      await rm(where.folder, { recursive: true, force: true });
    },
  };
}

/** `millrace node` on a free port; with `join`, a node that takes part in so many tasks of what that one leads. */
export async function node({ join: leader, slots = 1 } = {}) {
  const joining = leader === undefined ? [] : ['--join', leader.address, '--token', leader.token, '--slots', String(slots)];
  const wanted = [/^listening (\S+)/, /^token (\S+)/, ...(leader === undefined ? [] : [/^joined (\S+)/])];
  const { child, found } = started('millrace', ['node', '--listen', '127.0.0.1:0', ...joining], tmpdir(), wanted);
  const [address, token] = await found;
  return { address, token, kill: () => child.kill('SIGKILL') };
}

/** `millrace node` of a cluster of its own, whose folder is `data`: at `wss://`, with a token for who may run pipelines there. */
export async function secured(data, port = 0) {
  const { child, found } = started('millrace', ['node', '--listen', `127.0.0.1:${port}`, '--data', data], tmpdir(), [/^listening (\S+)/]);
  const [address] = await found;
  const { stdout } = await millrace(['token', '--data', data, '--role', 'operate'], tmpdir());
  return { address, token: stdout.trim(), kill: () => child.kill('SIGKILL') };
}

/** A pipeline that runs for minutes, and is kept so that it survives the loss of a node. */
export const SPREAD = `millrace = 1

[pipeline]
name = "spread"
checkpoint_every = "500ms"

[node.flights]
kind = "file"
path = "data/flights.parquet"
event_time = "scheduled"
max_delay = "3h"
replay = { by = "reported", speed = "43200x" }

[node.flown]
kind = "filter"
input = "flights"
where = "dep_delay IS NOT NULL"

[node.hourly]
kind = "tumbling_window"
input = "flown"
size = "1h"
by = ["origin"]
aggregate = { mean_delay = "avg(dep_delay)" }

[node.chart]
kind = "dashboard"
input = "hourly"
plot = { x = "window_start", y = "mean_delay", series = "origin" }

[layout]
flights = [20, 80]
flown = [260, 80]
hourly = [500, 80]
chart = [500, 220]
`;

/** A page on the studio; errors of the page fail the test that asks for them. */
export async function open(url, { width = 1440, height = 900, theme = 'light' } = {}) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: FLAGS });
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: 'reduce' });
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  await page.goto(url);
  return { page, errors, close: () => browser.close() };
}
