// The studio's figures, in a real browser on the release build: `npm run bench`. It prints them; docs/BENCHMARKS.md is kept by hand.

import { spawn } from 'node:child_process';
import { link, mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { card, phase } from './hand.mjs';
import { open, project, root, studio } from './studio.mjs';

const RATE = 100_000;
const SECONDS = 20;
/** The first seconds go to starting: the module is compiled, the axes settle. */
const WARM_UP_MS = 4_000;
/** Years of flights that are read at once: enough not to end while it is measured. */
const FLOOD_FILES = 200;

const stdin = (source, plot, more = '') => `millrace = 1
[pipeline]
name = "bench"
[node.rows]
kind = "stdin"
format = "csv"
schema = { t = "TIMESTAMP", v = "DOUBLE", s = "VARCHAR" }
event_time = "t"
${source}
[node.chart]
kind = "dashboard"
input = "rows"
plot = { x = "t", y = "v", ${plot} }
${more}`;

const FLOOD = `millrace = 1
[pipeline]
name = "flood"
[node.flights]
kind = "file"
path = "flood/*.parquet"
event_time = "scheduled"
max_delay = "3h"
[node.hourly]
kind = "tumbling_window"
input = "flights"
size = "1h"
by = ["origin", "carrier"]
aggregate = { departures = "count(*)", mean_delay = "avg(dep_delay)" }
[node.chart]
kind = "dashboard"
input = "flights"
plot = { x = "scheduled", y = "dep_delay", series = "origin" }
[node.windows]
kind = "dashboard"
input = "hourly"
plot = { x = "window_start", y = "mean_delay", series = "origin" }
`;

const share = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
function told(name, values, unit) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part) => share(sorted, part).toFixed(1);
  console.log(`${name}: median ${at(0.5)} ${unit}, p95 ${at(0.95)}, p99 ${at(0.99)}, max ${at(1)} (${sorted.length} samples)`);
}

/** The studio with a pipeline that runs, fed by `flow.mjs` if a rate is given. */
async function served(file, text, rate, series) {
  const where = await project();
  await where.write(file, text);
  const flow = rate === undefined ? undefined : spawn(process.execPath, [join(root, 'tests/browser/flow.mjs'), rate, 600, series], { stdio: ['ignore', 'pipe', 'inherit'] });
  const server = await studio(where, ['--run', file], flow?.stdout);
  const view = await open(server.url);
  await phase(view.page, 'running', 20_000);
  await view.page.getByRole('tab', { name: 'Chart' }).click();
  await view.page.waitForFunction(() => [...document.querySelectorAll('canvas')].some((canvas) => canvas.millraceCharts !== undefined));
  const end = async () => {
    await view.close();
    flow?.kill();
    await server.end();
  };
  return { where, page: view.page, end };
}

/** How old the newest painted row is, at each frame that shows newer ones. */
async function sourceToPaint() {
  const { page, end } = await served('paint.millrace.toml', stdin('', 'mark = "line"'), RATE, 1);
  try {
    const ages = await page.evaluate(
      ([warmUp, lasts]) =>
        new Promise((done) => {
          const handle = [...document.querySelectorAll('canvas')].map((canvas) => canvas.millraceCharts).find(Boolean);
          const [began, ages] = [performance.now(), []];
          let seen = 0;
          const look = () => {
            const now = performance.now();
            const newest = handle.newest_painted_x('chart') ?? 0;
            if (newest > seen && now - began > warmUp) ages.push(performance.timeOrigin + now - newest);
            seen = newest;
            if (now - began > lasts) done(ages);
            else requestAnimationFrame(look);
          };
          requestAnimationFrame(look);
        }),
      [WARM_UP_MS, SECONDS * 1_000],
    );
    const rate = await card(page, 'rows').innerText();
    told(`source to paint at ${RATE} rows/s (the source's card says: ${/[\d,.]+\s*[kM]? ?rows\/s/.exec(rate)?.[0]})`, ages, 'ms');
  } finally {
    await end();
  }
}

/** Milliseconds of script on the page's main thread, by frame, from the browser's own trace. */
async function scriptByFrame(page, lasts) {
  const browser = await page.context().browser().newBrowserCDPSession();
  const events = [];
  browser.on('Tracing.dataCollected', ({ value }) => events.push(...value));
  const complete = new Promise((done) => browser.on('Tracing.tracingComplete', done));
  await browser.send('Tracing.start', { categories: 'devtools.timeline,disabled-by-default-devtools.timeline,toplevel', transferMode: 'ReportEvents' });
  await page.waitForTimeout(lasts);
  await browser.send('Tracing.end');
  await complete;
  const SCRIPT = new Set(['FunctionCall', 'EvaluateScript', 'FireAnimationFrame', 'TimerFire', 'RunMicrotasks', 'EventDispatch', 'v8.callFunction']);
  const frames = events.filter((event) => event.name === 'FireAnimationFrame');
  const byThread = new Map();
  for (const event of frames) byThread.set(`${event.pid}:${event.tid}`, [...(byThread.get(`${event.pid}:${event.tid}`) ?? []), event]);
  const [main] = [...byThread.entries()].toSorted((a, b) => b[1].length - a[1].length)[0];
  const ours = events.filter((event) => `${event.pid}:${event.tid}` === main && event.dur !== undefined && SCRIPT.has(event.name));
  ours.sort((a, b) => a.ts - b.ts || b.dur - a.dur);
  const starts = byThread.get(main).map((event) => event.ts).toSorted((a, b) => a - b);
  const [cost, worked] = [new Map(), new Map()];
  let [until, frame] = [0, 0];
  for (const { ts, dur, tdur } of ours) {
    // An event within another is part of it.
    if (ts < until) continue;
    until = ts + dur;
    while (frame + 1 < starts.length && starts[frame + 1] <= ts) frame += 1;
    cost.set(frame, (cost.get(frame) ?? 0) + dur / 1_000);
    // The thread's own time: without what the machine did meanwhile for others.
    worked.set(frame, (worked.get(frame) ?? 0) + (tdur ?? dur) / 1_000);
  }
  const spans = starts.slice(1).map((start, index) => (start - starts[index]) / 1_000);
  return { cost: [...cost.values()], worked: [...worked.values()], spans };
}

async function scriptOfEightSeries() {
  const { page, end } = await served('eight.millrace.toml', stdin('', 'series = "s"'), 4_800, 8);
  try {
    await page.waitForTimeout(WARM_UP_MS);
    const { cost, worked, spans } = await scriptByFrame(page, 10_000);
    told('main-thread script a frame, 8 series, 60 updates/s (software rendering)', worked, 'ms of the thread');
    told('the same by the clock', cost, 'ms');
    told('time between frames', spans, 'ms');
  } finally {
    await end();
  }
}

/** Stop under a flood, and whether the canvas lives meanwhile. */
async function stopUnderFlood() {
  const answers = [];
  const gaps = [];
  for (let round = 0; round < 5; round += 1) {
    const where = await project();
    await mkdir(where.path('flood'));
    for (let part = 0; part < FLOOD_FILES; part += 1) await link(where.path('data/flights.parquet'), where.path(`flood/${part}.parquet`));
    await where.write('flood.millrace.toml', FLOOD);
    const server = await studio(where, ['--run', 'flood.millrace.toml']);
    const view = await open(server.url);
    try {
      const { page } = view;
      await phase(page, 'running', 20_000);
      await page.getByRole('tab', { name: 'Chart' }).click();
      await page.waitForTimeout(2_000);
      const frames = page.evaluate(
        () =>
          new Promise((done) => {
            const [began, gaps] = [performance.now(), []];
            let last = began;
            const look = (now) => {
              gaps.push(now - last);
              last = now;
              if (now - began > 2_000) done(gaps.slice(1));
              else requestAnimationFrame(look);
            };
            requestAnimationFrame(look);
          }),
      );
      const box = await card(page, 'hourly').boundingBox();
      await page.mouse.move(box.x + 20, box.y + 10);
      await page.mouse.down();
      await page.mouse.move(box.x + 80, box.y + 60, { steps: 30 });
      await page.mouse.up();
      gaps.push(...(await frames));
      const moved = await card(page, 'hourly').boundingBox();
      if (Math.abs(moved.x - box.x) < 20) throw new Error('the node did not follow the hand');
      if (round === 0) console.log(`flood: ${(await page.locator('.statusbar, footer').innerText()).replaceAll(/\s+/g, ' ')}`);
      // The drag's own end swallows a click that comes at once with it.
      await page.waitForTimeout(300);
      answers.push(
        await page.evaluate(
          () =>
            new Promise((done) => {
              const state = document.querySelector('[data-testid="run-state"]');
              const began = performance.now();
              const observer = new MutationObserver(() => {
                if (state.dataset.state !== 'stopped') return;
                observer.disconnect();
                done(performance.now() - began);
              });
              observer.observe(state, { attributes: true });
              [...document.querySelectorAll('button')].find((button) => button.title.startsWith('Stop')).click();
            }),
        ),
      );
    } finally {
      await view.close();
      await server.end();
    }
  }
  told('Stop under a flood, from the click to "Stopped" on the screen', answers, 'ms');
  told('time between frames under a flood, while a node is dragged', gaps, 'ms');
}

await sourceToPaint();
await scriptOfEightSeries();
await stopUnderFlood();
