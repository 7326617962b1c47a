// Three commands make a cluster; a studio joins it and runs the departures of 2013 over it; a node is killed. The chart goes on within two
// seconds, and what is written at the end is what a run without faults writes.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { assertAsAlone } from './alone.mjs';
import { card, eventually, phase, target } from './hand.mjs';
import { node, open, project, studio } from './studio.mjs';

const NAME = 'killed.millrace.toml';

let where;
let served;
let view;
let page;
let leader;
let members = [];

before(async () => {
  where = await project();
  const example = await readFile(where.path('departures-2013.millrace.toml'), 'utf8');
  // A year in twelve seconds, kept from one quarter of a second to the next.
  const text = example.replace('name = "Departures 2013"', 'name = "Departures 2013"\ncheckpoint_every = "250ms"').replace('43200x', '2628000x');
  assert.notEqual(text, example);
  await where.write(NAME, text);
  leader = await node();
  members = [await node({ join: leader, slots: 2 }), await node({ join: leader, slots: 2 })];
  served = await studio(where);
  view = await open(served.url);
  page = view.page;
  page.setDefaultTimeout(10_000);
});

after(async () => {
  await view?.close();
  await served?.end();
  for (const one of [leader, ...members]) one?.kill();
});

/** Notes the moment of every change that the chart's legend shows. */
const watchChart = () =>
  page.locator('[data-chart="delays"] .legend').evaluate((legend) => {
    globalThis.changes = [];
    new MutationObserver(() => globalThis.changes.push(Date.now())).observe(legend, { subtree: true, childList: true, characterData: true });
  });

test('a node is killed under a chart, which goes on within two seconds, and the totals are those of a run without faults', { timeout: 120_000 }, async () => {
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  await page.getByRole('button', { name: /^killed\.millrace\.toml/ }).dblclick();
  await card(page, 'hourly').waitFor();
  await target(page, leader);
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await phase(page, 'running', 30_000);
  await eventually(async () => assert.match(await page.locator('[data-chart="delays"] .legend').innerText(), /JFK\s*-?\d/), 30_000);
  await eventually(async () => assert.match(await card(page, 'hourly').locator('.node-where').innerText(), /on :\d+/));
  await watchChart();
  await eventually(async () => assert.ok((await page.evaluate(() => globalThis.changes.length)) > 3));

  const killed = Date.now();
  members[0].kill();
  await phase(page, 'finished', 60_000);
  const changes = await page.evaluate(() => globalThis.changes);
  const since = [killed, ...changes.filter((at) => at > killed)];
  const gaps = since.slice(1).map((at, index) => at - since[index]);
  assert.ok(gaps.length > 10, `the chart went on: ${gaps.length} changes`);
  assert.ok(Math.max(...gaps) < 2_000, `the chart stood for ${Math.max(...gaps)} ms`);
  await page.locator('.rail').getByRole('button', { name: 'Events', exact: true }).click();
  await page.getByText(/is gone, and its tasks with it; begins again from epoch \d+/).first().waitFor();

  await assertAsAlone(where, NAME);
});
