// Rows 1, 2, 3 and 5 of the attacks, against the real studio: what another page, a rebound name or a stranger's data may try.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';

import { card, chooseNothing, eventually, phase } from './hand.mjs';
import { open, project, studio } from './studio.mjs';

const MARKUP = '<img src=x onerror="window.owned=1"><script>window.owned=2</script>';

let where;
let served;
let host;
let token;

before(async () => {
  where = await project();
  served = await studio(where);
  ({ host } = new URL(served.url));
  token = new URL(served.url).hash.replace('#token=', '');
});

after(async () => {
  await served?.end();
});

/** Asks for the WebSocket as raw bytes, since no client would send these headers. Gives the status and what came after the headers. */
function upgrade(headers, path = '/api/session') {
  return new Promise((done, failed) => {
    const [name, port] = host.split(':');
    const socket = connect(Number(port), name);
    let answer = '';
    const end = () => {
      socket.destroy();
      const [head, ...body] = answer.split('\r\n\r\n');
      done({ status: Number(head.split(' ')[1]), head, body: body.join('\r\n\r\n') });
    };
    socket.setEncoding('latin1');
    socket.on('data', (bytes) => {
      answer += bytes;
      // An upgraded socket stays open; a refusal says how long it is.
      if (answer.includes('\r\n\r\n')) setTimeout(end, 100);
    });
    socket.on('error', failed);
    const all = {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      Host: host,
      'Sec-WebSocket-Protocol': `millrace.v1, token.${token}`,
      ...headers,
    };
    const lines = Object.entries(all).flatMap(([key, value]) => (value === undefined ? [] : [value].flat().map((one) => `${key}: ${one}`)));
    socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  });
}

async function refused(status, headers) {
  const answer = await upgrade(headers);
  assert.equal(answer.status, status, JSON.stringify(headers));
  assert.equal(answer.body, '', `an empty answer to ${JSON.stringify(headers)}`);
  assert.doesNotMatch(answer.head, /upgrade: websocket/i);
}

test('the page itself, and a native client with the token, come in', async () => {
  assert.equal((await upgrade({ Origin: `http://${host}` })).status, 101);
  assert.equal((await upgrade({})).status, 101);
});

test('a page of another origin is refused before the upgrade, though it knows the token', async () => {
  for (const origin of ['http://evil.example', 'https://example.com', `https://${host}`, 'http://127.0.0.1', 'http://127.0.0.1:1', 'file://', '']) {
    await refused(403, { Origin: origin });
  }
});

test('an origin of null, a look-alike, or two of them are refused', async () => {
  const port = host.split(':')[1];
  const alike = ['null', `http://${host}.evil.example`, `http://evil.example#${host}`, `http://${host}@evil.example`, `http://localhost.evil.example:${port}`];
  for (const origin of [...alike, `http://${host}/`, `HTTP://${host}`, [`http://${host}`, 'http://evil.example']]) await refused(403, { Origin: origin });
});

test('a rebound name in the Host header is refused, for the page as for its socket', async () => {
  const port = host.split(':')[1];
  const foreign = ['evil.example', `evil.example:${port}`, `127.0.0.1.nip.example:${port}`, '127.0.0.1', `127.0.0.1:${Number(port) + 1}`, `[::1]:${port}`];
  for (const name of [...foreign, '', undefined, [host, 'evil.example']]) {
    const answer = await upgrade({ Host: name });
    // Without a Host, or with two, the request itself is malformed.
    assert.ok(answer.status === 403 || answer.status === 400, `${name}: ${answer.status}`);
    assert.equal(answer.body, '');
    const page = await upgrade({ Host: name, Upgrade: undefined, Connection: 'close' }, '/');
    assert.ok(page.status === 403 || page.status === 400, `the page for ${name}: ${page.status}`);
    assert.doesNotMatch(page.body, /<html/i);
  }
});

test('without the token, or with another, nobody comes in', async () => {
  await refused(401, { 'Sec-WebSocket-Protocol': 'millrace.v1' });
  await refused(401, { 'Sec-WebSocket-Protocol': undefined });
  await refused(401, { 'Sec-WebSocket-Protocol': 'millrace.v1', Cookie: `token=${token}`, Authorization: `Bearer ${token}` });
  for (const wrong of ['', 'guess', token.slice(1), `${token}0`, token.toUpperCase() === token ? token.toLowerCase() : token.toUpperCase()]) {
    await refused(403, { 'Sec-WebSocket-Protocol': `millrace.v1, token.${wrong}` });
  }
  const bare = await upgrade({ Upgrade: undefined, Connection: 'close', 'Sec-WebSocket-Protocol': undefined });
  assert.ok(bare.status >= 400, `${bare.status}`);
});

test('a page on another origin cannot open the socket from a browser', { timeout: 30_000 }, async () => {
  const view = await open(served.url);
  try {
    const outcome = async (page) =>
      page.evaluate(
        ([address, secret]) =>
          new Promise((done) => {
            const socket = new WebSocket(`ws://${address}/api/session`, ['millrace.v1', `token.${secret}`]);
            socket.onopen = () => done('open');
            socket.onerror = () => done('refused');
          }),
        [host, token],
      );
    assert.equal(await outcome(view.page), 'open');
    const foreign = await view.page.context().newPage();
    // An origin of null, which is what a file or a sandboxed frame has.
    await foreign.goto('data:text/html,elsewhere');
    assert.equal(await outcome(foreign), 'refused');
  } finally {
    await view.close();
  }
});

test('markup in names, fields, messages and rows is shown as text and never runs', { timeout: 60_000 }, async () => {
  const quoted = MARKUP.replaceAll('"', '""');
  const rows = Array.from({ length: 20_000 }, (_, row) => `${row},"${quoted}"`).join('\n');
  await writeFile(where.path('data/markup.csv'), `number,"${quoted}"\n${rows}\n`);
  const words = JSON.stringify(MARKUP);
  await writeFile(
    where.path('markup.millrace.toml'),
    `millrace = 1

[pipeline]
name = ${words}

[node.rows]
kind = "file"
path = "data/markup.csv"

[node.kept]
kind = "filter"
input = "rows"
where = ${JSON.stringify(`${JSON.stringify(MARKUP).replaceAll('\\"', '""')} <> '<b>none</b>'`)}

[node.chart]
kind = "dashboard"
input = "kept"
plot = { x = "number", y = "number", series = ${words} }

[node.slow]
kind = "file_sink"
input = "kept"
path = "out/markup.csv"
rate = "2000/s"

[node.broken]
kind = ${words}
input = "rows"

[layout]
rows = [0, 80]
kept = [240, 80]
broken = [240, 200]
chart = [480, 80]
slow = [480, 200]
`,
  );
  const view = await open(served.url);
  const { page } = view;
  const untouched = async () => {
    assert.equal(await page.evaluate(() => window.owned), undefined);
    assert.equal(await page.locator('img, script:not([src])').count(), 0);
  };
  try {
    await page.getByRole('button', { name: 'Open', exact: true }).click();
    await page.getByRole('button', { name: /^markup\.millrace\.toml/ }).dblclick();
    await card(page, 'broken').waitFor();
    assert.equal(await page.locator('.top-name').innerText(), MARKUP);
    assert.match(await card(page, 'kept').innerText(), /<img src=x onerror/);
    await page.getByRole('tab', { name: 'Problems' }).click();
    await eventually(async () => assert.match(await page.locator('.problems').innerText(), /<script>window\.owned=2<\/script>/));
    await untouched();

    await card(page, 'broken').click();
    await untouched();
    await page.locator('.canvas').press('Delete');
    await card(page, 'broken').waitFor({ state: 'detached' });
    await chooseNothing(page);
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await phase(page, 'running');
    await eventually(async () => assert.match(await page.locator('.legend').innerText(), /<img src=x/));
    await page.locator('.dock').getByRole('button', { name: 'Table' }).click();
    await eventually(async () => assert.match(await page.locator('.chart-table').innerText(), /<script>window\.owned=2<\/script>/));
    await card(page, 'kept').click();
    await eventually(async () => assert.match(await page.locator('.inspector .rows-table').innerText(), /<img src=x/));
    await untouched();
    assert.deepEqual(view.errors, []);
  } finally {
    await view.close();
  }
});
