// A node of a cluster, over TLS: joined once, found again by itself whenever it was away, and by the next studio.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';

import { card, eventually, phase, target } from './hand.mjs';
import { open, project, secured, SPREAD, studio } from './studio.mjs';

let where;
let folder;
let served;
let view;
let leader;

before(async () => {
  where = await project();
  where.data = await mkdtemp(join(tmpdir(), 'millrace-data-'));
  folder = await mkdtemp(join(tmpdir(), 'millrace-node-'));
  await writeFile(where.path('spread.millrace.toml'), SPREAD);
  leader = await secured(folder);
  served = await studio(where);
  view = await open(served.url);
  view.page.setDefaultTimeout(10_000);
});

after(async () => {
  await view?.close();
  await served?.end();
  leader?.kill();
  for (const left of [where.folder, where.data, folder]) await rm(left, { recursive: true, force: true });
});

afterEach(() => assert.deepEqual(view.errors.splice(0), []));

const option = () => view.page.getByLabel('Where it runs').locator(`option[value="${leader.address}"]`);

/** Waits until the picker has the node as it is when it is in reach. */
const isInReach = () => eventually(async () => assert.equal((await option().textContent()).includes('does not answer'), false), 40_000);

async function runs() {
  const { page } = view;
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await phase(page, 'running', 30_000);
  await eventually(async () => assert.match(await page.locator('[data-chart="chart"] .legend').innerText(), /JFK\s*-?\d/), 30_000);
}

test('a join token makes the studio one of the cluster, and a pipeline runs there', { timeout: 90_000 }, async () => {
  const { page } = view;
  assert.match(leader.address, /^wss:/);
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  await page.getByRole('button', { name: /^spread\.millrace\.toml/ }).dblclick();
  await card(page, 'hourly').waitFor();
  await target(page, leader);
  await runs();
});

test('a node that was killed is in the picker again once it is back, without a token', { timeout: 120_000 }, async () => {
  const { page } = view;
  leader.kill();
  await phase(page, 'contact_lost', 20_000);
  await eventually(async () => assert.match(await option().textContent(), /does not answer/));
  const before = leader.address;
  leader = await secured(folder, new URL(before).port);
  assert.equal(leader.address, before);
  await isInReach();
  await runs();
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await phase(page, 'stopped', 20_000);
});

test('the next studio finds the nodes of its clusters by itself', { timeout: 90_000 }, async () => {
  await view.close();
  await served.end();
  served = await studio(where);
  view = await open(served.url);
  view.page.setDefaultTimeout(10_000);
  await view.page.getByRole('button', { name: 'Open', exact: true }).click();
  await view.page.getByRole('button', { name: /^spread\.millrace\.toml/ }).dblclick();
  await card(view.page, 'hourly').waitFor();
  await isInReach();
});
