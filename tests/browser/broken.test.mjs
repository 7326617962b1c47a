// Three faults and a dead node: each is named on screen, and the studio goes on.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, afterEach, before, test } from 'node:test';

import { append, card, choose, chooseNothing, eventually, express, phase, state } from './hand.mjs';
import { node, open, project, studio } from './studio.mjs';

let where;
let served;
let view;
let page;

before(async () => {
  where = await project();
  served = await studio(where);
  view = await open(served.url);
  page = view.page;
  page.setDefaultTimeout(10_000);
});

after(async () => {
  await view?.close();
  await served?.end();
});

afterEach(() => assert.deepEqual(view.errors.splice(0), []));

test('Broken on purpose: bad rows, a stalled input and a slow sink are named within 5 s each', { timeout: 60_000 }, async () => {
  await page.getByRole('button', { name: 'Open the sample Broken on purpose' }).click();
  await card(page, 'orders').waitFor();
  assert.equal(await state(page).getAttribute('data-state'), 'draft');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await phase(page, 'running');
  const began = Date.now();

  await page.getByRole('button', { name: 'Events' }).click();
  const seen = {};
  const told = async (id, cause) => {
    const line = page.locator('.event', { has: page.locator('.event-node', { hasText: new RegExp(`^${id}$`) }) }).filter({ hasText: cause });
    await line.first().waitFor({ timeout: 15_000 });
    seen[id] = Date.now() - began;
    return line.first().locator('.event-text').innerText();
  };
  // The bad rows and the slow sink begin with the run. The sensor falls silent a second after it.
  const [bad, slow, stalled] = await Promise.all([
    told('orders', /amount|UTF-8|missing|field/i),
    told('slow', /slow|wait/i),
    told('sensor', /no rows for/i),
  ]);
  assert.match(bad, /orders\.csv|amount|line|row/, bad);
  assert.match(stalled, /holds the watermark|open windows/, stalled);
  assert.match(slow, /those before it wait|more slowly/, slow);
  assert.ok(seen.orders < 5_000 && seen.slow < 5_000 && seen.sensor < 6_000, JSON.stringify(seen));

  await page.getByRole('button', { name: 'Pipeline', exact: true }).click();
  await eventually(async () => assert.match(await card(page, 'orders').innerText(), /quarantined \d/));
  await eventually(async () => assert.match(await card(page, 'slow').innerText(), /slowest/));
  await card(page, 'clicks').waitFor();
  await eventually(async () => assert.match(await page.locator('.edge-label.blocked').first().innerText(), /waiting \d+ %/));
});

test('a click on an event shows its node', { timeout: 20_000 }, async () => {
  await page.getByRole('button', { name: 'Events' }).click();
  await page.locator('.event', { hasText: 'no rows for' }).first().click();
  await eventually(async () => assert.equal(await page.locator('#node-name').inputValue(), 'sensor'));
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await phase(page, 'stopped', 5_000);
});

test('a run that is killed under your eyes goes on from its last checkpoint, and the event says what was read again', { timeout: 60_000 }, async () => {
  await writeFile(where.path('killed.millrace.toml'), REMOTE.replace('millrace = 1', 'millrace = 1\n\n[pipeline]\ncheckpoint_every = "1s"'));
  await page.locator('.rail').getByRole('button', { name: 'Home' }).click();
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  await page.getByRole('button', { name: /^killed\.millrace\.toml/ }).dblclick();
  await card(page, 'hourly').waitFor();
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await phase(page, 'running', 20_000);
  await page.getByRole('tab', { name: /^Checkpoints/ }).click();
  const complete = page.locator('.checkpoints-table tr', { hasText: 'complete' });
  await complete.first().waitFor({ timeout: 15_000 });
  const epoch = await complete.first().locator('td').first().innerText();

  await page.getByRole('button', { name: 'Kill', exact: true }).click();
  await page.locator('.checkpoints-table tr').filter({ hasText: 'complete' }).filter({ hasNotText: new RegExp(`^${epoch}\\b`) }).first().waitFor({ timeout: 15_000 });
  await phase(page, 'running', 10_000);
  await page.getByRole('button', { name: 'Events' }).click();
  const told = page.locator('.event', { hasText: 'killed by hand' }).first();
  await told.waitFor();
  assert.match(await told.innerText(), /begins again from epoch \d+ in \d+ ms, and reads [\d,]+ rows again/);

  await page.getByRole('button', { name: 'Pipeline', exact: true }).click();
  await page.getByRole('tab', { name: 'Chart', exact: true }).click();
  await eventually(async () => assert.match(await page.locator('[data-chart="chart"] .legend').innerText(), /JFK\s*-?\d/), 20_000);
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await phase(page, 'stopped', 5_000);
});

const REMOTE = `millrace = 1

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

test('a node that is killed during a run shows as contact lost, and the studio stays live', { timeout: 90_000 }, async () => {
  await writeFile(where.path('remote.millrace.toml'), REMOTE);
  const remote = await node();
  try {
    await page.locator('.rail').getByRole('button', { name: 'Home' }).click();
    await page.getByRole('button', { name: 'Open', exact: true }).click();
    await page.getByRole('button', { name: /^remote\.millrace\.toml/ }).dblclick();
    await card(page, 'hourly').waitFor();

    await page.getByLabel('Where it runs').selectOption({ label: 'Add a node…' });
    const dialog = page.getByRole('dialog', { name: 'Add a node' });
    await dialog.getByLabel('Address').fill(remote.address);
    await dialog.getByLabel('Token').fill('not the token');
    await dialog.getByRole('button', { name: 'Connect' }).click();
    await dialog.getByRole('alert').waitFor();
    await dialog.getByLabel('Token').fill(remote.token);
    await dialog.getByRole('button', { name: 'Connect' }).click();
    await dialog.waitFor({ state: 'detached' });
    assert.equal(await page.getByLabel('Where it runs').inputValue(), remote.address);

    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await phase(page, 'running', 20_000);
    await eventually(async () => assert.match(await page.locator('[data-chart="chart"] .legend').innerText(), /JFK\s*-?\d/), 20_000);
    const rows = await card(page, 'flown').innerText();
    assert.match(rows, /rows\/s/);

    remote.kill();
    const took = await phase(page, 'contact_lost', 15_000);
    assert.ok(took < 8_000, `${took} ms`);
    await eventually(async () => assert.match(await page.locator('.strip').innerText(), /Contact lost \d+ m?s ago/));
    await page.locator('.node-card.stale[data-node="flown"]').waitFor();
    assert.match(await card(page, 'flown').innerText(), /rows/, 'the last figures stay');
    await eventually(async () => assert.match(await page.locator('.status-bar.stale').innerText(), /figures \d+ m?s old/));

    await chooseNothing(page);
    await append(page, 'derive', 'still_alive');
    await choose(page, 'flown');
    await express(page, 'where', 'dep_delay > 5');
    await eventually(async () => assert.match(await card(page, 'flown').innerText(), /dep_delay > 5/));
    await page.locator('.canvas').press('Control+z');
    await choose(page, 'still_alive');
    await page.locator('.canvas').press('Delete');
    await card(page, 'still_alive').waitFor({ state: 'detached' });

    await page.getByLabel('Where it runs').selectOption({ label: 'This computer' });
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await phase(page, 'running', 10_000);
    await eventually(async () => assert.match(await page.locator('[data-chart="chart"] .legend').innerText(), /JFK\s*-?\d/), 20_000);
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await phase(page, 'stopped', 5_000);
  } finally {
    remote.kill();
  }
});
