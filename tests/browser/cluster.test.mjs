// The Cluster screen against three real nodes, of which one is killed while a pipeline runs over them.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, afterEach, before, test } from 'node:test';

import { card, eventually, phase, target } from './hand.mjs';
import { node, open, project, SPREAD, studio } from './studio.mjs';

let where;
let served;
let view;
let page;
let leader;
let members = [];

before(async () => {
  where = await project();
  await writeFile(where.path('spread.millrace.toml'), SPREAD);
  leader = await node();
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

afterEach(() => assert.deepEqual(view.errors.splice(0), []));

const screen = () => page.getByRole('region', { name: 'Cluster', exact: true });
const row = (member) => screen().locator(`tr[data-member="${member}"]`);
const rail = (name) => page.locator('.rail').getByRole('button', { name, exact: true });

test('the screen is there for a node, says how others join, and shows those that do', { timeout: 60_000 }, async () => {
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  await page.getByRole('button', { name: /^spread\.millrace\.toml/ }).dblclick();
  await card(page, 'hourly').waitFor();
  assert.equal(await rail('Cluster').count(), 0, 'this computer has no cluster');

  await target(page, leader);
  await rail('Cluster').focus();
  await page.keyboard.press('Enter');
  await screen().getByText(`--join ${leader.address}`).waitFor();
  assert.match(await row(0).innerText(), /leader/);

  members = [await node({ join: leader, slots: 1 }), await node({ join: leader, slots: 1 })];
  for (const member of [1, 2]) {
    await eventually(async () => assert.match(await row(member).innerText(), /joined[\s\S]*0\/1[\s\S]*\d+ %[\s\S]*MB of/), 15_000);
  }
  await screen().getByText('3 of 3 nodes in reach').waitFor();
  const links = screen().getByRole('region', { name: 'Links' });
  await eventually(async () => assert.match(await links.innerText(), /\d ms/));
});

test('a run shows where its tasks are, on the screen and on the canvas', { timeout: 60_000 }, async () => {
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await phase(page, 'running', 30_000);
  const tasks = screen().getByRole('region', { name: 'Tasks by node' });
  const hourly = tasks.locator('tr', { has: page.getByRole('button', { name: 'hourly', exact: true }) });
  await eventually(async () => assert.deepEqual((await hourly.locator('td').allInnerTexts()).slice(0, 3), ['–', '1', '1']), 20_000);
  await eventually(async () => assert.match(await row(1).innerText(), /1\/1/));
  await hourly.getByRole('button').click();
  await eventually(async () => assert.match(await card(page, 'hourly').locator('.node-where').innerText(), /1 task on :\d+, 1 task on :\d+/));
  await eventually(async () => assert.match(await page.locator('[data-chart="chart"] .legend').innerText(), /JFK\s*-?\d/), 30_000);
  await rail('Cluster').click();
});

test('a node that is killed is lost, its loss is the root cause of the restart, and the run goes on', { timeout: 90_000 }, async () => {
  await eventually(async () => assert.match(await screen().locator('.cluster-run-head').innerText(), /epoch \d/), 20_000);
  members[0].kill();
  await screen().locator('tr[data-member="1"][data-standing="lost"]').waitFor({ timeout: 15_000 });
  await screen().getByText('2 of 3 nodes in reach').waitFor();

  const timeline = screen().getByRole('region', { name: 'Fault timeline' });
  const lost = timeline.locator('.timeline > li[data-kind="node_lost"]');
  await lost.waitFor();
  assert.equal(await timeline.locator('.timeline > li').first().getAttribute('data-kind'), 'node_lost', 'the root cause comes first');
  assert.equal(await timeline.locator('.timeline > li[data-kind="restarted"]').count(), 0, 'a victim does not stand alone');
  await eventually(async () => assert.match(await lost.locator('summary').innerText(), /runs again after/), 20_000);
  assert.equal(await lost.locator('[data-kind="restarted"]').isVisible(), false, 'folded until it is asked for');
  await lost.locator('summary').focus();
  await page.keyboard.press('Enter');
  await lost.locator('[data-kind="restarted"]').waitFor({ state: 'visible' });
  const told = await lost.innerText();
  assert.match(told, /Tasks lost[\s\S]*hourly \(task/);
  assert.match(told, /begins again from epoch \d+/);

  await phase(page, 'running');
  const rows = async () => Number(/([\d.]+k?) rows\/s/.exec(await screen().locator('.cluster-run-head').innerText())?.[1].replace('k', 'e3'));
  await eventually(async () => assert.ok((await rows()) > 0), 15_000);
  const epoch = async () => Number(/epoch ([\d,]+)/.exec(await screen().locator('.cluster-run-head').innerText())?.[1].replace(',', ''));
  const before = await epoch();
  await eventually(async () => assert.ok((await epoch()) > before, 'epochs go on'), 15_000);
});

test('a leader that is gone leaves its last figures, and says so', { timeout: 60_000 }, async () => {
  leader.kill();
  await eventually(async () => assert.match(await screen().getByRole('alert').innerText(), /Contact lost \d+ m?s ago/), 20_000);
  await screen().locator('.cluster-body.stale').waitFor();
  assert.match(await row(2).innerText(), /joined/);
  await page.getByLabel('Where it runs').selectOption({ label: 'This computer' });
  await screen().waitFor({ state: 'detached' });
  await card(page, 'hourly').waitFor();
});
