// What a hand does on the screen: adds, wires, moves, types. And what the eye then sees.

import assert from 'node:assert/strict';

export const card = (page, id) => page.locator(`.react-flow__node[data-id="${id}"]`);
export const port = (page, id, name = 'out') => card(page, id).locator(`.react-flow__handle[data-handleid="${name}"]`);
export const wire = (page, from, to) => page.locator(`.react-flow__edge[aria-label="from ${from} to ${to}"]`);
export const field = (page, name) => page.locator(`.inspector .form-field[data-field="${name}"]`);
export const state = (page) => page.locator('[data-testid="run-state"]');

/** Tries until it holds, or the time is over. */
export async function eventually(check, within = 10_000) {
  const end = Date.now() + within;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** Waits for a phase of the run; gives how long it took. */
export async function phase(page, wanted, within = 10_000) {
  const began = Date.now();
  await eventually(async () => assert.equal(await state(page).getAttribute('data-state'), wanted), within);
  return Date.now() - began;
}

async function middle(locator) {
  const box = await locator.boundingBox();
  assert.ok(box !== null, `${locator} is on the screen`);
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

/** A point of the canvas, from its left upper corner. */
export async function onCanvas(page, x, y) {
  const box = await page.locator('.canvas').boundingBox();
  return { x: box.x + x, y: box.y + y };
}

async function pull(page, from, to) {
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move(from.x + 6, from.y + 6);
  await page.mouse.move((from.x + to.x) / 2, (from.y + to.y) / 2, { steps: 4 });
  await page.mouse.move(to.x, to.y, { steps: 4 });
  await page.mouse.up();
}

const kind = (page, name) => page.locator(`.palette [data-kind="${name}"]`);

/** Drags a kind from the palette to a place of the canvas and names the node. */
export async function place(page, name, x, y, id) {
  // The palette scrolls, and a drag begins where the kind can be seen.
  await kind(page, name).scrollIntoViewIfNeeded();
  await adding(page, id, async () => pull(page, await middle(kind(page, name)), await onCanvas(page, x, y)));
}

/** Clicks a kind in the palette: it comes after what is selected. */
export async function append(page, name, id) {
  await adding(page, id, () => kind(page, name).click());
}

/** Drops a wire on the empty canvas, and takes what comes next from the menu. */
export async function grow(page, from, name, x, y, id) {
  await adding(page, id, async () => {
    await pullFrom(page, from, await onCanvas(page, x, y));
    const menu = page.getByRole('dialog', { name: 'What comes next?' });
    await menu.getByRole('option', { name, exact: true }).click();
  });
}

/** Drags a wire from an output to an input, or to a node's body. */
export async function connect(page, from, to, { body = false } = {}) {
  await pullFrom(page, from, await middle(body ? card(page, to) : port(page, to, 'in')));
  await wire(page, from, to).waitFor({ state: 'attached' });
}

async function pullFrom(page, from, to) {
  const [id, name = 'out'] = from.split('.');
  // A side port shows when its node is looked at.
  await card(page, id).hover();
  await pull(page, await middle(port(page, id, name)), to);
}

/** Moves a node by its card. */
export async function move(page, id, dx, dy) {
  const from = await middle(card(page, id));
  await pull(page, from, { x: from.x + dx, y: from.y + dy });
}

const nodesShown = (page) => page.locator('.react-flow__node').evaluateAll((nodes) => nodes.map((node) => node.dataset.id));

/** Gives the node that a gesture adds, and that is selected then, its name. */
async function adding(page, id, gesture) {
  const before = await nodesShown(page);
  await gesture();
  const name = page.locator('#node-name');
  await eventually(async () => {
    const fresh = await name.inputValue({ timeout: 500 });
    assert.ok(!before.includes(fresh) && (await nodesShown(page)).includes(fresh), `${fresh} is new`);
  });
  await name.fill(id);
  await name.press('Enter');
  await card(page, id).waitFor();
}

export async function choose(page, id) {
  await card(page, id).click({ position: { x: 100, y: 12 } });
  await eventually(async () => assert.equal(await page.locator('#node-name').inputValue(), id));
}

/** Selects a wire, by a click on its middle. */
export async function chooseWire(page, from, to) {
  const { x, y } = await wire(page, from, to)
    .locator('.react-flow__edge-interaction')
    .evaluate((path) => {
      const at = path.getPointAtLength(path.getTotalLength() / 2).matrixTransform(path.getScreenCTM());
      return { x: at.x, y: at.y };
    });
  await page.mouse.click(x, y);
}

/** Selects nothing, by a click on the empty canvas: where nothing lies above it, nor close by. */
export async function chooseNothing(page) {
  const empty = await page.locator('.canvas').evaluate((canvas) => {
    const box = canvas.getBoundingClientRect();
    const isEmpty = (x, y) => document.elementFromPoint(x, y)?.classList.contains('react-flow__pane') === true;
    const around = [-12, 0, 12];
    for (let y = box.bottom - 24; y > box.top + 24; y -= 12) {
      for (let x = box.left + 24; x < box.right - 24; x += 12) {
        if (around.every((dx) => around.every((dy) => isEmpty(x + dx, y + dy)))) return { x, y };
      }
    }
    return undefined;
  });
  assert.ok(empty !== undefined, 'the canvas has an empty place');
  await page.mouse.click(empty.x, empty.y);
  await page.locator('.inspector-title').waitFor();
}

/** Types into a field of the form, and leaves it. */
export async function type(page, name, text) {
  const input = field(page, name).locator('input');
  await input.fill(text);
  await input.press('Enter');
}

export async function pick(page, name, label) {
  await field(page, name).locator('select').first().selectOption({ label });
}

/** Types an expression over what stands there, and leaves it. */
export async function express(page, name, text) {
  await typeCode(page, field(page, name).locator('.expression'), text);
}

async function typeCode(page, editor, text) {
  await editor.click();
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.press('Delete');
  await page.keyboard.type(text);
  await page.locator('.inspector-kind').click();
}

/** Adds a name with an expression to a map of them. */
export async function entry(page, name, key, text) {
  await field(page, name).getByRole('button', { name: 'Add an entry' }).click();
  await page.keyboard.type(key);
  await typeCode(page, field(page, name).locator('.form-entry').last().locator('.expression'), text);
  await eventually(async () => assert.ok((await field(page, name).locator('.form-row input').evaluateAll((all) => all.map((one) => one.value))).includes(key)));
}

/** The text in the Text dock. */
export async function textShown(page) {
  return (await page.locator('.text-dock .cm-line').allTextContents()).join('\n');
}

/** How many pixels of a place have a colour, rather than a grey: what a chart paints has. */
export async function colouredPixels(page, locator) {
  const picture = (await locator.screenshot()).toString('base64');
  return page.evaluate(async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const { data: pixels } = context.getImageData(0, 0, image.width, image.height);
    let coloured = 0;
    for (let at = 0; at < pixels.length; at += 4) {
      const [red, green, blue] = pixels.subarray(at, at + 3);
      if (Math.max(red, green, blue) - Math.min(red, green, blue) > 60) coloured += 1;
    }
    return coloured;
  }, picture);
}

/** Adds a node in the target picker, which it is chosen by. */
export async function target(page, { address, token }) {
  await page.getByLabel('Where it runs').selectOption({ label: 'Add a node…' });
  const dialog = page.getByRole('dialog', { name: 'Add a node' });
  await dialog.getByLabel('Address').fill(address);
  await dialog.getByLabel('Token').fill(token);
  await dialog.getByRole('button', { name: 'Connect' }).click();
  await dialog.waitFor({ state: 'detached' });
}
