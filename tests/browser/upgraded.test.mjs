// A run goes on as a changed pipeline while it is under way, with its state; and back to what it was.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { assertAsAlone } from './alone.mjs';
import { card, phase } from './hand.mjs';
import { open, project, studio } from './studio.mjs';

const NAME = 'upgraded.millrace.toml';
const COPY = '\n[node.copy]\nkind = "file_sink"\ninput = "hourly"\npath = "out/copy.parquet"\n';

let where;
let served;
let view;
let page;
let text;

before(async () => {
  where = await project();
  const example = await readFile(where.path('departures-2013.millrace.toml'), 'utf8');
  // A year in thirty seconds, and kept.
  text = example.replace('name = "Departures 2013"', 'name = "Departures 2013"\ncheckpoint_every = "500ms"').replace('43200x', '1051200x');
  assert.notEqual(text, example);
  await where.write(NAME, text);
  served = await studio(where);
  view = await open(served.url);
  page = view.page;
  page.setDefaultTimeout(15_000);
});

after(async () => {
  await view?.close();
  await served?.end();
});

test('a run is upgraded with its state and rolled back, and its output is that of a run left alone', { timeout: 180_000 }, async () => {
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  await page.getByRole('button', { name: /^upgraded\.millrace\.toml/ }).dblclick();
  await card(page, 'hourly').waitFor();
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await phase(page, 'running', 30_000);

  // Another hand writes the file; nothing here is unsaved, so the studio takes it.
  await where.write(NAME, text + COPY);
  await card(page, 'copy').waitFor();
  const strip = page.locator('.strip');
  await strip.getByText('The running version differs:').waitFor();
  await strip.getByRole('button', { name: 'Upgrade', exact: true }).click();
  const dialog = page.getByRole('dialog');
  const becomes = dialog.getByTestId('becomes');
  await becomes.getByText('Goes on with what it holds').waitFor();
  const told = await becomes.innerText();
  assert.match(told, /Begins with nothing\s+copy/);
  assert.match(told, /flights/);
  await dialog.getByRole('button', { name: 'Upgrade and keep the state' }).click();
  await page.getByText(/upgraded, at epoch \d+, paused \d+ ms/).first().waitFor();
  const upgraded = page.getByTestId('upgraded');
  await upgraded.getByText(/The state before it is kept as savepoint/).waitFor();

  // Asked only where a sink has shown rows since; a quick hand goes back at once.
  await upgraded.getByRole('button', { name: 'Roll back' }).click();
  const back = page.getByText(/rolled back to savepoint/).first();
  const asked = page.getByRole('button', { name: 'Roll back, and take those rows back' });
  await back.or(asked).first().waitFor();
  if (await asked.isVisible()) await asked.click();
  await back.waitFor();
  await strip.getByText('The running version differs:').waitFor();

  await phase(page, 'finished', 90_000);
  await where.write(NAME, text);
  await assertAsAlone(where, NAME);
  assert.deepEqual(view.errors, []);
});
