// Pictures of every screen and state, from the real studio: `npm run shots -- FOLDER [NAME-PART]`.
// Each is taken at 1440x900 and 1024x700, light and dark; `running-1440-light` is one of them alone.

import { mkdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { card, choose, chooseNothing, chooseWire, eventually, phase, target, textShown } from './hand.mjs';
import { node, open, project, root, SPREAD, studio } from './studio.mjs';

const [folder = 'shots', only = ''] = process.argv.slice(2);
const out = resolve(folder);
await mkdir(out, { recursive: true });

const LOOKS = [
  { width: 1440, height: 900, theme: 'light' },
  { width: 1440, height: 900, theme: 'dark' },
  { width: 1024, height: 700, theme: 'light' },
  { width: 1024, height: 700, theme: 'dark' },
];

/** What is gone through at each look, and the pictures that are taken on the way. */
const ACTS = [
  { act: beginning, names: ['home', 'empty'] },
  { act: departures, names: ['draft', 'waiting', 'running', 'node', 'metrics', 'edge', 'rows', 'live', 'table', 'differs', 'diff', 'text', 'stopped'] },
  { act: finished, names: ['finished'] },
  { act: kept, names: ['kept-guarantee', 'kept-checkpoints', 'kept-savepoint', 'kept-killed', 'kept-restarted', 'kept-restore'] },
  { act: upgraded, names: ['upgrade-dialog', 'upgraded'] },
  { act: wrong, names: ['problems', 'problem-node', 'broken-toml', 'conflict', 'keys'] },
  { act: broken, names: ['broken-on-purpose', 'events'] },
  { act: lost, names: ['target', 'contact-lost'] },
  { act: alerted, names: ['alerts-form', 'alerts-firing', 'alerts-events', 'skew-canvas'] },
  { act: clustered, names: ['cluster-alone', 'cluster-running', 'cluster-canvas', 'cluster-node-lost', 'cluster-folded', 'cluster-lost'] },
  // A debug build's disk fails where it is asked to: the parts of the first two epochs.
  { act: failing, names: ['checkpoint-failed', 'checkpoint-failed-events'], env: { MILLRACE_FAIL_AT: 'part:2' } },
  { act: poisoned, names: ['poison-form', 'poison-events', 'poison-quarantined'] },
];

const POISON_TEXT = `millrace = 1
[pipeline]
name = "Poison"
checkpoint_every = "1s"
on_poison = "quarantine"
[node.readings]
kind = "file"
path = "poison.csv"
event_time = "at"
[node.shares]
kind = "derive"
input = "readings"
columns = { share = "100 // n" }
on_error = "fail"
[node.chart]
kind = "dashboard"
input = "shares"
plot = { x = "at", y = "share" }
[layout]
readings = [40, 80]
shares = [340, 80]
chart = [640, 80]
`;
const BROKEN_TEXT = '[node.flown\nkind = "filter"\n';

const home = (page) => page.locator('.rail').getByRole('button', { name: 'Home' }).click();
/** A button of the rail, and no other of that name: on a busy machine it may take its time. */
const screen = (page, name) => page.locator('.rail').getByRole('button', { name, exact: true }).click({ timeout: 30_000 });
const run = (page) => page.getByRole('button', { name: 'Run', exact: true }).click();
const stop = async (page) => {
  await page.getByRole('button', { name: /^Stop/ }).click();
  await eventually(() => page.getByRole('button', { name: 'Run', exact: true }).waitFor({ timeout: 500 }));
};
const sample = (page, title) => page.getByRole('button', { name: `Open the sample ${title}` }).click();
const tab = (page, name) => page.getByRole('tab', { name }).click();
const rest = (page, ms = 600) => page.waitForTimeout(ms);

async function openFile(page, name) {
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  await page.locator('.file-list button', { hasText: name }).dblclick();
  await page.locator('.react-flow__node').first().waitFor();
}

/** A year that ends within seconds, for the picture of a finished run. */
async function quick(where, file, change = (text) => text) {
  const text = change(await readFile(join(root, 'examples/departures-2013.millrace.toml'), 'utf8'));
  await where.write(file, text);
  return text;
}

async function take(look) {
  const full = (name) => `${name}-${look.width}-${look.theme}`;
  const wanted = ACTS.filter(({ names }) => names.some((name) => full(name).includes(only)));
  await through(look, wanted.filter(({ env }) => env === undefined), undefined, full);
  for (const one of wanted.filter(({ env }) => env !== undefined)) await through(look, [one], one.env, full);
}

/** Goes through acts in one studio. */
async function through(look, wanted, env, full) {
  if (wanted.length === 0) return;
  const where = await project();
  const served = await studio(where, [], undefined, env);
  const view = await open(served.url, look);
  const { page } = view;
  page.setDefaultTimeout(10_000);
  const shot = async (name) => {
    if (full(name).includes(only)) await page.screenshot({ path: join(out, `${full(name)}.png`) });
  };
  try {
    await page.locator('.home').waitFor();
    for (const { act } of wanted) await act(page, shot, where);
    console.log(`${look.width}x${look.height} ${look.theme}: taken into ${out}`);
  } catch (error) {
    await page.screenshot({ path: join(out, `failed-${look.width}-${look.theme}.png`) });
    throw error;
  } finally {
    if (view.errors.length > 0) console.error(look, view.errors);
    await view.close();
    await served.end();
  }
}

async function beginning(page, shot) {
  await rest(page);
  await shot('home');
  await page.getByRole('button', { name: 'New', exact: true }).click();
  await page.getByText('An empty pipeline').waitFor();
  await shot('empty');
  await home(page);
}

async function departures(page, shot) {
  await sample(page, 'Departures 2013');
  await card(page, 'hourly').waitFor();
  await rest(page);
  await shot('draft');
  await run(page);
  await phase(page, 'running');
  await eventually(() => page.locator('.chart-waits', { hasText: 'watermark' }).waitFor({ timeout: 300 }), 3_000).catch(() => undefined);
  await shot('waiting');
  await eventually(async () => {
    const text = await page.locator('[data-chart="delays"] .legend').innerText();
    if (!/JFK\s*-?\d/.test(text)) throw new Error(text);
  }, 30_000);
  await rest(page, 14_000);
  await shot('running');
  await choose(page, 'hourly');
  await rest(page, 900);
  await shot('node');
  await page.locator('.inspector').getByRole('tab', { name: 'Metrics' }).click();
  await rest(page, 900);
  await shot('metrics');
  await page.locator('.inspector').getByRole('tab', { name: 'Settings' }).click();
  await chooseWire(page, 'flights', 'flown');
  await rest(page, 1_200);
  await shot('edge');
  await tab(page, 'Rows');
  await rest(page, 900);
  await shot('rows');
  await screen(page, 'Live');
  await rest(page, 1_500);
  await shot('live');
  await screen(page, 'Pipeline');
  await tab(page, 'Chart');
  await page.locator('.dock').getByRole('button', { name: 'Table' }).click();
  await rest(page, 900);
  await shot('table');
  await page.locator('.dock').getByRole('button', { name: 'Table' }).click();
  await choose(page, 'flown');
  await page.locator('.inspector [data-field="where"] .expression').click();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('dep_delay > 15');
  await page.locator('.inspector-kind').click();
  await page.locator('.strip').waitFor();
  await rest(page, 900);
  await shot('differs');
  await page.locator('.strip').getByRole('button', { name: 'Diff' }).click();
  await rest(page, 400);
  await shot('diff');
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).first().click();
  await tab(page, 'Text');
  await rest(page, 900);
  await shot('text');
  await stop(page);
  await rest(page);
  await shot('stopped');
  await page.keyboard.press('Control+s');
  await rest(page);
  await home(page);
}

async function finished(page, shot, where) {
  await quick(where, 'a-year.millrace.toml', (text) => text.replace('speed = "43200x"', 'speed = "8000000x"'));
  await openFile(page, 'a-year');
  await run(page);
  await phase(page, 'finished', 60_000);
  await rest(page, 1_200);
  await shot('finished');
  await home(page);
}

/** A run with checkpoints: what it promises, what came of each, and its savepoints. */
/** Another hand changes what runs: a node goes with its state, and one comes. */
async function upgraded(page, shot, where) {
  const name = 'upgraded.millrace.toml';
  const text = await quick(where, name, (text) => text.replace('[pipeline]\n', '[pipeline]\ncheckpoint_every = "1s"\n'));
  await openFile(page, 'upgraded');
  await run(page);
  await phase(page, 'running');
  await where.write(name, `${text}\n[node.copy]\nkind = "file_sink"\ninput = "hourly"\npath = "out/copy.parquet"\n`);
  await card(page, 'copy').waitFor();
  await page.locator('.strip').getByRole('button', { name: 'Upgrade', exact: true }).click();
  await page.getByText('Goes on with what it holds').waitFor();
  await rest(page);
  await shot('upgrade-dialog');
  await page.getByRole('button', { name: 'Upgrade and keep the state' }).click();
  await page.getByTestId('upgraded').waitFor();
  await rest(page);
  await shot('upgraded');
  await stop(page);
  await home(page);
}

async function kept(page, shot, where) {
  const every = (text) => text.replace('[pipeline]\n', '[pipeline]\ncheckpoint_every = "2s"\n');
  await quick(where, 'kept.millrace.toml', (text) => every(text).replace('out/late.parquet', 'out/late/'));
  await openFile(page, 'kept');
  await choose(page, 'late');
  await rest(page);
  await shot('kept-guarantee');
  await chooseNothing(page);
  await run(page);
  await phase(page, 'running');
  await tab(page, 'Checkpoints');
  await rest(page, 9_000);
  await shot('kept-checkpoints');
  await page.getByRole('button', { name: 'Savepoint' }).click();
  await page.getByLabel('name of the savepoint').fill('monday');
  await shot('kept-savepoint');
  await page.getByRole('button', { name: 'Keep' }).click();
  await rest(page, 3_000);
  await page.getByRole('button', { name: 'Kill', exact: true }).click();
  await rest(page, 1_500);
  await shot('kept-killed');
  await screen(page, 'Events');
  await rest(page);
  await shot('kept-restarted');
  await screen(page, 'Pipeline');
  await stop(page);
  await page.getByRole('button', { name: 'Restore from' }).click();
  await rest(page, 900);
  await shot('kept-restore');
  await home(page);
}

/** The first two epochs cannot be written; the run goes on, and the third takes their rows along. */
async function failing(page, shot, where) {
  await quick(where, 'failing.millrace.toml', (text) => text.replace('[pipeline]\n', '[pipeline]\ncheckpoint_every = "2s"\n'));
  await openFile(page, 'failing');
  await run(page);
  await phase(page, 'running');
  await tab(page, 'Checkpoints');
  await rest(page, 9_000);
  await shot('checkpoint-failed');
  await screen(page, 'Events');
  await rest(page);
  await shot('checkpoint-failed-events');
}

/** Rows that fail a node whatever is tried, and a pipeline that sets them aside. */
async function poisoned(page, shot, where) {
  await where.write('poison.csv', `at,n\n${Array.from({ length: 400 }, (_, at) => `2013-01-01T00:${String(Math.floor(at / 60)).padStart(2, '0')}:${String(at % 60).padStart(2, '0')}Z,${at === 250 ? 0 : at + 1}`).join('\n')}\n`);
  await where.write('poison.millrace.toml', POISON_TEXT);
  await openFile(page, 'poison.millrace');
  await chooseNothing(page);
  await rest(page);
  await shot('poison-form');
  await run(page);
  await phase(page, 'finished', 60_000);
  await choose(page, 'readings');
  await rest(page);
  await shot('poison-quarantined');
  await screen(page, 'Events');
  await rest(page);
  await shot('poison-events');
  await home(page);
}

async function wrong(page, shot, where) {
  await quick(where, 'wrong.millrace.toml', (text) => text.replace('dep_delay IS NOT NULL', 'dep_dely IS NOT NULL').replace('size = "1h"', 'size = "1 hour"').replace('y = "mean_delay"', 'y = "meen_delay"'));
  await openFile(page, 'wrong');
  await tab(page, 'Problems');
  await rest(page);
  await shot('problems');
  await choose(page, 'flown');
  await rest(page);
  await shot('problem-node');
  const text = await readFile(where.path('wrong.millrace.toml'), 'utf8');
  await where.write('wrong.millrace.toml', text.replace(/\[node\.flown\]\nkind = "filter"\n/, BROKEN_TEXT));
  await page.locator('.strip.error').waitFor();
  await tab(page, 'Text');
  await rest(page);
  await shot('broken-toml');
  await where.write('wrong.millrace.toml', text);
  await page.locator('.strip.error').waitFor({ state: 'detached' });
  await eventually(async () => {
    if (!(await textShown(page)).includes('[node.flown]')) throw new Error('not yet');
  });
  await chooseNothing(page);
  await page.locator('.inspector [data-field="name"] input').fill('Departures, mine');
  await page.keyboard.press('Enter');
  await where.write('wrong.millrace.toml', text.replace('Departures 2013', 'Departures, theirs'));
  const conflict = page.getByRole('dialog', { name: 'The file changed on disk' });
  await conflict.waitFor();
  await rest(page, 300);
  await shot('conflict');
  await conflict.getByRole('button', { name: /^Theirs/ }).click();
  await screen(page, 'Keys');
  await rest(page, 300);
  await shot('keys');
  await page.keyboard.press('Escape');
  await home(page);
}

async function broken(page, shot) {
  await sample(page, 'Broken on purpose');
  await card(page, 'orders').waitFor();
  await run(page);
  await phase(page, 'running');
  await rest(page, 7_000);
  await shot('broken-on-purpose');
  await screen(page, 'Events');
  await rest(page);
  await shot('events');
  await screen(page, 'Pipeline');
  await stop(page);
  await home(page);
}

async function lost(page, shot, where) {
  const remote = await node();
  try {
    await quick(where, 'remote.millrace.toml');
    await openFile(page, 'remote');
    await page.getByLabel('Where it runs').selectOption({ label: 'Add a node…' });
    const dialog = page.getByRole('dialog', { name: 'Add a node' });
    await dialog.getByLabel('Address').fill(remote.address);
    await dialog.getByLabel('Token').fill(remote.token);
    await rest(page, 300);
    await shot('target');
    await dialog.getByRole('button', { name: 'Connect' }).click();
    await dialog.waitFor({ state: 'detached' });
    await run(page);
    await phase(page, 'running', 20_000);
    await rest(page, 5_000);
    await choose(page, 'hourly');
  } finally {
    remote.kill();
  }
  await phase(page, 'contact_lost', 15_000);
  await rest(page, 3_000);
  await shot('contact-lost');
}

/** Alerts of three kinds, one of which fires, and a key that most rows have. */
async function alerted(page, shot, where) {
  const alerts = [
    '[alert.lates]\nfigure = "late"\nnode = "hourly"\nabove = 1000000\n',
    '[alert.behind]\nfigure = "watermark_lag"\nnode = "flights"\nabove = "10m"\nfor = "1s"\nnotify = ["desktop", "http://127.0.0.1:9/${HOOK:-x}"]\n',
    '[alert.broken]\nfigure = "run_state"\nis = "failed"\n',
    '[alert.skewed]\nfigure = "skew"\nabove = 1.2\nfor = "1m"\n',
  ];
  const skewed = (text) => text.replace('[pipeline]\n', '[pipeline]\nparallelism = 4\n').replace('by = ["origin"]', 'by = ["origin"]\nparallelism = 4');
  await quick(where, 'alerted.millrace.toml', (text) => `${skewed(text)}\n${alerts.join('\n')}`);
  await openFile(page, 'alerted');
  await tab(page, 'Alerts');
  await page.getByRole('button', { name: 'Change the alert behind' }).click();
  await rest(page);
  await shot('alerts-form');
  await run(page);
  await phase(page, 'running');
  await tab(page, 'Alerts');
  await rest(page, 7_000);
  await shot('alerts-firing');
  await choose(page, 'hourly');
  await tab(page, 'Metrics');
  await rest(page);
  await shot('skew-canvas');
  await screen(page, 'Events');
  await rest(page);
  await shot('alerts-events');
  await screen(page, 'Pipeline');
  await stop(page);
  await home(page);
}

/** Three nodes, of which one is killed, and then the one that leads. */
async function clustered(page, shot, where) {
  const leader = await node();
  const members = [];
  const cluster = () => screen(page, 'Cluster');
  try {
    await where.write('spread.millrace.toml', SPREAD);
    await openFile(page, 'spread');
    await target(page, leader);
    await cluster();
    await page.getByText('No other node has joined.').waitFor();
    await rest(page, 1_500);
    await shot('cluster-alone');
    members.push(await node({ join: leader, slots: 1 }), await node({ join: leader, slots: 2 }));
    await run(page);
    await phase(page, 'running', 20_000);
    await rest(page, 6_000);
    await shot('cluster-running');
    await screen(page, 'Pipeline');
    await rest(page, 900);
    await shot('cluster-canvas');
    await cluster();
    members[0].kill();
    await page.locator('.timeline > li[data-kind="node_lost"] summary', { hasText: 'runs again' }).waitFor({ timeout: 20_000 });
    await rest(page, 1_500);
    await shot('cluster-folded');
    await page.locator('.timeline > li[data-kind="node_lost"] summary').click();
    await page.locator('.timeline > li[data-kind="node_lost"]').scrollIntoViewIfNeeded();
    await rest(page);
    await shot('cluster-node-lost');
    leader.kill();
    await page.locator('.cluster-strip.error').waitFor({ timeout: 20_000 });
    await rest(page, 2_000);
    await shot('cluster-lost');
  } finally {
    for (const one of [leader, ...members]) one.kill();
  }
}

for (const look of LOOKS) await take(look);
