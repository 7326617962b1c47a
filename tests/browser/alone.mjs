// What comes of a run that somebody had a hand in, beside what comes of one that is left alone.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

import { millrace } from './studio.mjs';

/** All rows of a Parquet file as lines, in their order as text. */
async function rows(where, path) {
  const text = `millrace = 1\n[node.rows]\nkind = "file"\npath = "${path}"\n[node.text]\nkind = "file_sink"\ninput = "rows"\npath = "text/rows.csv"\n`;
  await where.write('rows.millrace.toml', text);
  const ran = await millrace(['run', 'rows.millrace.toml', '--parallelism', '1'], where.folder);
  assert.equal(ran.code, 0, ran.stderr);
  return (await readFile(where.path('text/rows.csv'), 'utf8')).trim().split('\n').sort();
}

/** Sees that the outputs that lie in a project are those of a run of the same file without faults and changes. */
export async function assertAsAlone(where, file, outputs = ['out/hourly.parquet', 'out/late.parquet']) {
  const found = [];
  for (const output of outputs) found.push(await rows(where, output));
  const ran = await millrace(['run', file, '--fresh'], where.folder);
  assert.equal(ran.code, 0, ran.stderr);
  for (const [index, output] of outputs.entries()) {
    const expected = await rows(where, output);
    assert.ok(expected.length > 1, `${output}: ${expected.length} lines`);
    assert.deepEqual(found[index], expected, output);
  }
}
