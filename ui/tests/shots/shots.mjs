// Pictures of every screen and state with the fake studio, light and dark, at both sizes: node tests/shots/shots.mjs [FOLDER] [NAME...]
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';
import { createServer } from 'vite';

const [folder = 'shots', ...names] = process.argv.slice(2);
const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');

const click = (selector) => async (page) => page.click(selector);
const selectFlown = async (page) => page.click('[data-node="flown"]');
const chooseNode = async (page) => page.evaluate(() => {
  const select = document.querySelector('.target-picker select');
  select.disabled = false;
  select.value = 'ws://127.0.0.1:7400';
  select.dispatchEvent(new Event('change', { bubbles: true }));
});
const dock = (tab) => async (page) => page.click(`.dock [data-tab="${tab}"]`);
const both = (...steps) => async (page) => {
  for (const step of steps) await step(page);
};

/** What is shown: a scene, and what is done before the picture. */
const SHOTS = {
  home: ['home'],
  empty: ['empty'],
  draft: ['draft'],
  running: ['differs', both(selectFlown, dock('chart'))],
  running_text: ['running', both(selectFlown, dock('text'))],
  waiting: ['waiting'],
  metrics: ['running', both(async (page) => page.click('[data-node="hourly"]'), async (page) => page.click('[data-tab="metrics"]'), dock('rows'))],
  window_form: ['draft', async (page) => page.click('[data-node="hourly"]')],
  source_form: ['draft', async (page) => page.click('[data-node="flights"]')],
  edge: ['running', async (page) => page.locator('.react-flow__edge').first().click({ force: true })],
  errors: ['errors', both(selectFlown, dock('problems'))],
  broken: ['broken'],
  draining: ['draining'],
  finished: ['finished'],
  failed: ['failed'],
  contact_lost: ['contact_lost', selectFlown],
  conflict: ['conflict'],
  alerts: ['running', dock('alerts')],
  alert_form: ['running', both(dock('alerts'), async (page) => page.click('[aria-label="Change the alert behind"]'))],
  diff: ['differs', click('.strip .link-button')],
  live: ['running', click('[aria-label="Live"]')],
  events: ['running', click('[aria-label="Events"]')],
  cluster: ['cluster', both(chooseNode, click('[aria-label="Cluster"]'), async (page) => page.locator('.timeline-fold summary').first().click())],
  cluster_canvas: ['cluster', chooseNode],
  cluster_alone: ['cluster_alone', both(chooseNode, click('[aria-label="Cluster"]'))],
  cluster_lost: ['cluster_lost', both(chooseNode, click('[aria-label="Cluster"]'))],
  table: ['running', both(dock('chart'), async (page) => page.locator('.chart-tool', { hasText: 'Table' }).click({ force: true, timeout: 2000 }).catch(() => undefined))],
  keys: ['draft', async (page) => page.keyboard.press('?')],
  open: ['home', async (page) => page.click('.home-actions .button')],
  target: ['draft', async (page) => page.selectOption('.target-picker select', { index: 2 })],
};
const SIZES = [
  [1440, 900],
  [1024, 700],
];

const server = await createServer({ root, configFile: path.join(root, 'vite.config.ts'), server: { port: 7899 }, logLevel: 'warn' });
await server.listen();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
await mkdir(folder, { recursive: true });
for (const [width, height] of SIZES) {
  for (const theme of ['light', 'dark']) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme });
    for (const [name, [scene, act]] of Object.entries(SHOTS)) {
      if (names.length > 0 && !names.includes(name)) continue;
      const page = await context.newPage();
      page.on('console', (message) => message.type() === 'error' && console.log(`${name}: ${message.text()}`));
      page.on('pageerror', (error) => console.log(`${name}: ${error.message}`));
      await page.goto(`http://127.0.0.1:7899/?fake=${scene}`);
      await page.waitForTimeout(900);
      await act?.(page);
      await page.waitForTimeout(1500);
      await page.screenshot({ path: path.join(folder, `${name}-${width}-${theme}.png`) });
      await page.close();
    }
    await context.close();
  }
}
await browser.close();
await server.close();
