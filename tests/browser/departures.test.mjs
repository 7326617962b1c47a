// The pipeline of the file format's page, drawn by hand from nothing, run, changed, restarted, undone, and followed on disk.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import {
  append,
  card,
  choose,
  chooseNothing,
  colouredPixels,
  connect,
  entry,
  eventually,
  express,
  field,
  grow,
  move,
  phase,
  pick,
  place,
  textShown,
  type,
  wire,
} from './hand.mjs';
import { millrace, open, project, studio } from './studio.mjs';

const MEANT = `millrace = 1

[pipeline]
name = "departures by origin"
checkpoint_every = "10s"

[node.flights]
kind = "file"
path = "data/flights.parquet"
event_time = "scheduled"
max_delay = "3h"
replay = { by = "reported", speed = "86400x" }

[node.flown]
kind = "filter"
input = "flights"
where = "dep_delay IS NOT NULL"

[node.hourly]
kind = "tumbling_window"
input = "flown"
size = "1h"
by = ["origin"]
aggregate = { departures = "count(*)", mean_delay = "avg(dep_delay)", p95_delay = "quantile(dep_delay, 0.95)" }
allowed_lateness = "6h"
emit = "on_close"

[node.chart]
kind = "dashboard"
input = "hourly"
plot = { x = "window_start", y = "mean_delay", series = "origin" }

[node.out]
kind = "file_sink"
input = "hourly"
path = "out/hourly.parquet"

[node.late]
kind = "file_sink"
input = "hourly.late"
path = "out/late.parquet"
`;

const NAME = 'departures.millrace.toml';

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

const saved = () => page.locator('[data-testid="saved-mark"]');
const strip = () => page.locator('.strip');
const onDisk = () => readFile(where.path(NAME), 'utf8');

test('a pipeline is drawn by mouse from an empty canvas, and its file means what was drawn', { timeout: 120_000 }, async () => {
  await page.getByRole('button', { name: 'New', exact: true }).click();
  await page.getByText('An empty pipeline').waitFor();

  await place(page, 'file', 30, 146, 'flights');
  await type(page, 'path', 'data/flights.parquet');
  await pick(page, 'event_time', 'a column');
  await field(page, 'event_time').locator('.form-choice select').selectOption('scheduled');
  await type(page, 'max_delay', '3h');
  await field(page, 'replay.by').locator('select').selectOption('reported');
  await type(page, 'replay.speed', '86400x');

  await grow(page, 'flights', 'Filter', 290, 146, 'flown');
  await wire(page, 'flights', 'flown').waitFor({ state: 'attached' });
  await express(page, 'where', 'dep_delay IS NOT NULL');

  await place(page, 'tumbling_window', 290, 306, 'hourly');
  await connect(page, 'flown', 'hourly');
  await choose(page, 'hourly');
  await type(page, 'size', '1h');
  await field(page, 'by').locator('select').selectOption('origin');
  await entry(page, 'aggregate', 'departures', 'count(*)');
  await entry(page, 'aggregate', 'mean_delay', 'avg(dep_delay)');
  await entry(page, 'aggregate', 'p95_delay', 'quantile(dep_delay, 0.95)');
  await type(page, 'allowed_lateness', '6h');
  await pick(page, 'emit', 'when the window closes');

  await append(page, 'dashboard', 'chart');
  await wire(page, 'hourly', 'chart').waitFor({ state: 'attached' });
  await field(page, 'plot.x').locator('select').selectOption('window_start');
  await field(page, 'plot.y').locator('select').selectOption('mean_delay');
  await field(page, 'plot.series').locator('select').selectOption('origin');

  await place(page, 'file_sink', 550, 396, 'out');
  await type(page, 'path', 'out/hourly.parquet');
  await connect(page, 'hourly', 'out', { body: true });

  await grow(page, 'hourly.late', 'File', 290, 470, 'late');
  await wire(page, 'hourly.late', 'late').waitFor({ state: 'attached' });
  await type(page, 'path', 'out/late.parquet');

  await chooseNothing(page);
  await type(page, 'name', 'departures by origin');
  await type(page, 'checkpoint_every', '10s');

  assert.equal(await saved().textContent(), 'not on disk yet');
  await page.keyboard.press('Control+s');
  const dialog = page.getByRole('dialog', { name: 'Save the pipeline' });
  await dialog.getByLabel('File name').fill(NAME);
  await dialog.getByRole('button', { name: 'Save here' }).click();
  await eventually(async () => assert.equal(await saved().textContent(), 'saved'));

  assert.equal((await millrace(['validate', NAME], where.folder)).code, 0);
  await writeFile(where.path('meant.toml'), MEANT);
  const difference = await millrace(['diff', 'meant.toml', NAME], where.folder);
  assert.equal(difference.code, 0);
  assert.doesNotMatch(difference.stdout, /^[-+~]|flights|flown|hourly|chart|late/m, difference.stdout);
});

test('while it runs, windows show in the chart and in the table', { timeout: 60_000 }, async () => {
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await phase(page, 'running');
  const legend = page.locator('[data-chart="chart"] .legend-item');
  await eventually(async () => {
    const shown = await legend.allTextContents();
    for (const origin of ['EWR', 'JFK', 'LGA']) assert.ok(shown.some((text) => new RegExp(`^${origin}.*\\d`).test(text)), shown.join(' | '));
  }, 20_000);
  await eventually(async () => assert.ok((await colouredPixels(page, page.locator('[data-testid="chart-plot"]'))) > 500), 20_000);

  await page.locator('.dock').getByRole('button', { name: 'Table' }).click();
  await eventually(async () => {
    const heads = await page.locator('.chart-table th').allTextContents();
    assert.deepEqual(heads, ['window_start', 'window_end', 'window_time', 'origin', 'departures', 'mean_delay', 'p95_delay']);
    const cells = await page.locator('.chart-table td').allTextContents();
    assert.ok(cells.includes('JFK') && cells.some((cell) => cell.startsWith('2013-01-')), cells.slice(0, 14).join(' | '));
  });
  await page.locator('.dock').getByRole('button', { name: 'Table' }).click();
  await eventually(async () => assert.match(await card(page, 'flown').innerText(), /rows\/s/));
});

test('a filter edited while it runs makes the running version differ, until it is restarted or undone', { timeout: 60_000 }, async () => {
  await choose(page, 'flown');
  await express(page, 'where', 'dep_delay > 15');
  await eventually(async () => assert.match((await strip().textContent()) ?? '', /The running version differs: 1 change/));

  await strip().getByRole('button', { name: 'Diff' }).click();
  const dialog = page.getByRole('dialog', { name: 'What differs' });
  await eventually(async () => {
    const lines = await dialog.locator('.diff-line.added').allTextContents();
    assert.ok(lines.some((line) => line.includes('dep_delay > 15')), lines.join('\n'));
  });
  await dialog.getByRole('button', { name: 'Close' }).first().click();

  await strip().getByRole('button', { name: 'Restart' }).click();
  await strip().waitFor({ state: 'detached' });
  await phase(page, 'running');
  await eventually(async () => assert.match(await page.locator('[data-chart="chart"] .legend').innerText(), /JFK\s*\d/), 20_000);

  await card(page, 'flown').click({ position: { x: 100, y: 12 } });
  await page.locator('.canvas').press('Control+z');
  await eventually(async () => assert.match(await card(page, 'flown').innerText(), /dep_delay IS NOT NULL/));
  await eventually(async () => assert.match((await strip().textContent()) ?? '', /1 change/));
  await page.keyboard.press('Control+y');
  await eventually(async () => assert.match(await card(page, 'flown').innerText(), /dep_delay > 15/));
  await strip().waitFor({ state: 'detached' });
  await page.keyboard.press('Control+z');
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await phase(page, 'stopped');
});

test('undo takes back a move and an added node, too', { timeout: 30_000 }, async () => {
  const place = async () => {
    const { x, y } = await card(page, 'chart').boundingBox();
    return [Math.round(x), Math.round(y)];
  };
  const stood = await place();
  await move(page, 'chart', -20, -64);
  // Places snap to 4 px.
  await eventually(async () => {
    const [x, y] = await place();
    assert.ok(Math.abs(x - stood[0] + 20) <= 8 && Math.abs(y - stood[1] + 64) <= 8, `${x}, ${y}`);
  });
  await page.keyboard.press('Control+z');
  await eventually(async () => assert.deepEqual(await place(), stood));

  await chooseNothing(page);
  await append(page, 'derive', 'extra');
  await page.locator('.inspector-kind').click();
  // Its name was an edit of its own.
  await page.keyboard.press('Control+z');
  await card(page, 'derive').waitFor();
  await page.keyboard.press('Control+z');
  await card(page, 'derive').waitFor({ state: 'detached' });
  await eventually(async () => assert.equal((await page.locator('.react-flow__node').count()), 6));
});

test('canvas and text follow the file when it changes on disk', { timeout: 30_000 }, async () => {
  await page.keyboard.press('Control+s');
  await eventually(async () => assert.equal(await saved().textContent(), 'saved'));
  await page.getByRole('tab', { name: 'Text' }).click();
  const text = await onDisk();
  assert.match(text, /dep_delay IS NOT NULL/);
  const outside = text.replace('dep_delay IS NOT NULL', 'dep_delay > 30').replace('[layout]\n', '[layout]\nmore = [30, 300]\n');
  await writeFile(where.path(NAME), `${outside}\n[node.more]\nkind = "filter"\ninput = "flown"\nwhere = "origin = 'JFK'"\n`);
  await eventually(async () => assert.match(await card(page, 'flown').innerText(), /dep_delay > 30/));
  await card(page, 'more').waitFor();
  await wire(page, 'flown', 'more').waitFor({ state: 'attached' });
  await choose(page, 'more');
  await eventually(async () => assert.match(await textShown(page), /\[node\.more\]/));
  assert.equal(await saved().textContent(), 'saved');
});

test('a project with unsaved changes asks whose text stands: mine, or theirs', { timeout: 30_000 }, async () => {
  const conflict = page.getByRole('dialog', { name: 'The file changed on disk' });
  const disagree = async (mine, theirs) => {
    await choose(page, 'more');
    await express(page, 'where', `origin = '${mine}'`);
    await eventually(async () => assert.equal(await saved().textContent(), 'not saved'));
    await writeFile(where.path(NAME), (await onDisk()).replace(/origin = '\w+'/, `origin = '${theirs}'`));
    await conflict.waitFor();
    assert.match(await conflict.innerText(), new RegExp(`${mine}[^]*${theirs}|${theirs}[^]*${mine}`));
  };
  await disagree('LGA', 'EWR');
  await conflict.getByRole('button', { name: /^Mine/ }).click();
  await conflict.waitFor({ state: 'detached' });
  assert.match(await card(page, 'more').innerText(), /LGA/);
  await page.keyboard.press('Control+s');
  await eventually(async () => assert.match(await onDisk(), /LGA/));

  await disagree('SFO', 'EWR');
  await conflict.getByRole('button', { name: /^Theirs/ }).click();
  await conflict.waitFor({ state: 'detached' });
  await eventually(async () => assert.match(await card(page, 'more').innerText(), /EWR/));
  await page.locator('.inspector-kind').click();
  await page.keyboard.press('Control+z');
  await eventually(async () => assert.match(await card(page, 'more').innerText(), /SFO/));
});

test('the page had no errors', () => assert.deepEqual(view.errors, []));
