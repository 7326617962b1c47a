// How long the desktop's window takes to its first paint, from the start of its process. Part of `npm run bench`.

import { readFile, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { eventually, openWindow } from './webdriver.mjs';

const root = resolve(fileURLToPath(import.meta.url), '../../..');
const binaries = process.env.MILLRACE_BIN_DIR ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'release');
const RUNS = 6;
const TICKS_PER_SECOND = 100;

/** When the latest process of this name was started (the one before may still be closing), milliseconds since 1970, to a hundredth of a second. */
async function startOf(name) {
  const booted = Number(/^btime (\d+)$/m.exec(await readFile('/proc/stat', 'utf8'))[1]);
  const uptime = Number((await readFile('/proc/uptime', 'utf8')).split(' ')[0]);
  const boot = Math.abs(Date.now() / 1_000 - uptime - booted) < 2 ? Date.now() - uptime * 1_000 : booted * 1_000;
  const starts = [];
  for (const id of (await readdir('/proc')).filter((id) => /^[0-9]+$/.test(id))) {
    const stat = await readFile(`/proc/${id}/stat`, 'utf8').catch(() => '');
    const [head, rest] = [stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')), stat.slice(stat.lastIndexOf(')') + 2).split(' ')];
    if (head === name.slice(0, 15)) starts.push(boot + (Number(rest[19]) / TICKS_PER_SECOND) * 1_000);
  }
  if (starts.length === 0) throw new Error(`no process ${name}`);
  return Math.max(...starts);
}

const took = [];
for (let run = 0; run < RUNS; run += 1) {
  const window = await openWindow(join(binaries, 'millrace-desktop'));
  try {
    const painted = await eventually(async () => {
      const at = await window.run('const [paint] = performance.getEntriesByName("first-contentful-paint"); return paint ? performance.timeOrigin + paint.startTime : 0');
      if (!at) throw new Error('not painted yet');
      return at;
    }, 10_000);
    took.push(painted - (await startOf('millrace-desktop')));
  } finally {
    await window.close();
  }
}
const [first, ...warm] = took.map((ms) => Math.round(ms));
console.log(`desktop, from the process's start to its first paint: first ${first} ms; warm ${warm.join(', ')} ms`);
