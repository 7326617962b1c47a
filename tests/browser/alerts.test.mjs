// An alert is made in the studio, fires while the pipeline runs, is seen and told, and is over when the run is.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { card, eventually, field, phase, pick, textShown, type } from './hand.mjs';
import { open, project, studio } from './studio.mjs';

const NAME = 'watched.millrace.toml';
const COMMENT = '# What the tower asked for.';

let where;
let served;
let view;
let page;
let hooks;
const told = [];

before(async () => {
  hooks = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => (body += part));
    request.on('end', () => {
      told.push({ url: request.url, ...JSON.parse(body) });
      response.end();
    });
  });
  await new Promise((done) => hooks.listen(0, '127.0.0.1', done));
  where = await project();
  const example = await readFile(where.path('departures-2013.millrace.toml'), 'utf8');
  await where.write(NAME, `${example}\n${COMMENT}\n[alert.broken]\nfigure = "run_state"   # at its end\nis = "failed"\n`);
  served = await studio(where, [], undefined, { HOOK: 'a-secret' });
  view = await open(served.url);
  page = view.page;
  page.setDefaultTimeout(10_000);
});

after(async () => {
  await view?.close();
  await served?.end();
  hooks?.close();
});

test('an alert is added by hand, fires, is told, and is over with the run', { timeout: 120_000 }, async () => {
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  await page.getByRole('button', { name: /^watched\.millrace\.toml/ }).dblclick();
  await card(page, 'hourly').waitFor();
  await page.getByRole('tab', { name: 'Alerts' }).click();
  const table = page.locator('.alerts-table');
  await table.getByText('not running').waitFor();

  await page.locator('.alerts-head').getByRole('button', { name: 'Add an alert' }).click();
  const form = page.locator('.alert-form');
  await form.waitFor();
  await pick(page, 'figure', 'rows in');
  await pick(page, 'node', 'flights');
  await type(page, 'above', '10');
  await form.locator('#alert-name').fill('busy_tower');
  await form.locator('#alert-name').press('Enter');
  await field(page, 'notify').getByRole('button', { name: 'Add' }).click();
  const hook = field(page, 'notify').locator('input.field-box').last();
  await hook.fill(`http://127.0.0.1:${hooks.address().port}/\${HOOK}`);
  await hook.press('Enter');
  // The tick is the file's: it is there once the edit is.
  await field(page, 'notify').getByRole('checkbox').click();
  await eventually(async () => assert.ok(await field(page, 'notify').getByRole('checkbox').isChecked()));
  await page.getByRole('tab', { name: 'Text' }).click();
  await eventually(async () => {
    const text = await textShown(page);
    assert.match(text, /\[alert\.busy_tower\]\nfigure = "rows_in"\nabove = 10\nnode = "flights"\nnotify = \["desktop", "http:/);
    assert.ok(text.includes(`${COMMENT}\n[alert.broken]\nfigure = "run_state"   # at its end`), text);
  });

  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await phase(page, 'running', 30_000);
  await page.locator('.toasts').getByText(/^Alert: busy_tower: rows_in of flights above 10: /).waitFor();
  await page.locator('.status-bar').getByRole('button', { name: '1 alert firing' }).click();
  const row = table.locator('tr', { hasText: 'busy_tower' });
  await row.getByText('firing', { exact: true }).waitFor();
  assert.match(await table.locator('tbody tr').first().innerText(), /busy_tower/, 'what fires comes first');
  await eventually(async () => assert.match(await row.innerText(), /http:\/\/127\.0\.0\.1:\d+ 1×/));
  assert.equal(told[0].url, '/a-secret');
  assert.deepEqual([told[0].alert, told[0].state, told[0].node], ['busy_tower', 'firing', 'flights']);
  assert.ok(!(await page.content()).includes('a-secret'), 'a secret of the environment is on no screen');

  await row.getByRole('button', { name: 'Change the alert busy_tower' }).press('Enter');
  await form.waitFor();
  await form.locator('#alert-name').press('Escape');
  await form.waitFor({ state: 'detached' });

  await page.getByRole('button', { name: /^Stop/ }).click();
  await phase(page, 'stopped', 20_000);
  await page.locator('.status-bar').getByRole('button', { name: '1 alert firing' }).waitFor({ state: 'detached' });
  await row.getByText('quiet', { exact: true }).waitFor();
  await eventually(() => assert.deepEqual(told.map((one) => one.state), ['firing', 'resolved']));
  await page.locator('.rail').getByRole('button', { name: 'Events', exact: true }).click();
  await page.getByText(/^busy_tower: rows_in of flights above 10: .* \(the run is over\)$/).first().waitFor();
  assert.deepEqual(view.errors, []);
});

test('a run without checkpoints says why it cannot be rescaled', { timeout: 60_000 }, async () => {
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await phase(page, 'running', 30_000);
  const stepper = page.getByTestId('parallelism');
  await stepper.waitFor();
  assert.ok(await stepper.getByRole('button', { name: 'More tasks' }).isDisabled());
  assert.match(await stepper.getAttribute('title'), /takes no checkpoints/);
  assert.deepEqual(view.errors, []);
});
