// A run goes on in more tasks while it is under way: by the stepper beside its state, by keys, and one node of it in the inspector.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { assertAsAlone } from './alone.mjs';
import { card, eventually, phase } from './hand.mjs';
import { open, project, studio } from './studio.mjs';

const NAME = 'rescaled.millrace.toml';

let where;
let served;
let view;
let page;

before(async () => {
  where = await project();
  const example = await readFile(where.path('departures-2013.millrace.toml'), 'utf8');
  // A year in twenty seconds, in two tasks, and kept.
  const text = example
    .replace('name = "Departures 2013"', 'name = "Departures 2013"\nparallelism = 2\ncheckpoint_every = "500ms"')
    .replace('43200x', '1576800x');
  assert.notEqual(text, example);
  await where.write(NAME, text);
  served = await studio(where);
  view = await open(served.url);
  page = view.page;
  page.setDefaultTimeout(10_000);
});

after(async () => {
  await view?.close();
  await served?.end();
});

test('a run is rescaled by hand and by keys, and its output is that of a run left alone', { timeout: 120_000 }, async () => {
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  await page.getByRole('button', { name: /^rescaled\.millrace\.toml/ }).dblclick();
  await card(page, 'hourly').waitFor();
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await phase(page, 'running', 30_000);
  const stepper = page.getByTestId('parallelism');
  await eventually(async () => assert.match(await stepper.innerText(), /×2/));

  await stepper.getByRole('button', { name: 'More tasks' }).click();
  await stepper.getByRole('button', { name: 'More tasks' }).click();
  await eventually(async () => assert.match(await stepper.innerText(), /2 → 4/));
  await stepper.getByRole('button', { name: 'Rescale' }).click();
  await page.getByText(/rescaled from 2 to 4, at epoch \d+, paused \d+ ms/).first().waitFor();
  await eventually(async () => assert.match(await stepper.innerText(), /×4/));
  await eventually(async () => assert.match(await stepper.getAttribute('title'), /Last: rescaled from 2 to 4, at checkpoint \d+, paused/));

  await page.keyboard.press('Control+ArrowDown');
  await eventually(async () => assert.match(await stepper.innerText(), /4 → 3/));
  await page.keyboard.press('Escape');
  await eventually(async () => assert.match(await stepper.innerText(), /×4/));
  await page.keyboard.press('Control+ArrowDown');
  await eventually(async () => assert.match(await stepper.innerText(), /4 → 3/));
  await page.keyboard.press('Enter');
  await page.getByText(/rescaled from 4 to 3, at epoch/).first().waitFor();

  await card(page, 'hourly').click();
  await page.getByRole('tab', { name: 'Metrics' }).click();
  const ofNode = page.getByRole('group', { name: 'Tasks of the node' });
  // Figures come twice a second.
  await eventually(async () => assert.match(await ofNode.innerText(), /^3$/m));
  await ofNode.getByRole('button', { name: 'Fewer tasks' }).click();
  await eventually(async () => assert.match(await ofNode.innerText(), /3 → 2/));
  await ofNode.getByRole('button', { name: 'Rescale' }).click();
  await page.getByText(/rescaled `hourly` from 3 to 2, at epoch/).first().waitFor();
  await page.locator('.rail').getByRole('button', { name: 'Events', exact: true }).click();
  await page.getByText(/Rescaled from 2 to 4, at epoch/).first().waitFor();

  await phase(page, 'finished', 60_000);
  await assertAsAlone(where, NAME);
  assert.deepEqual(view.errors, []);
});
