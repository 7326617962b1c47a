// Rows at a steady rate, each with the moment it was written: `node flow.mjs ROWS_PER_SECOND SECONDS SERIES`, CSV on standard output.

const [rate, seconds, series] = process.argv.slice(2).map(Number);
const TICK_MS = 2;
process.stdout.on('error', () => process.exit(0));
process.stdout.write('t,v,s\n');
const began = performance.now();
let written = 0;

const timer = setInterval(() => {
  const elapsed = performance.now() - began;
  if (elapsed > seconds * 1000) {
    clearInterval(timer);
    process.stdout.end();
    return;
  }
  const now = performance.timeOrigin + performance.now();
  const stamp = new Date(now).toISOString().slice(0, 23).replace('T', ' ') + String(Math.floor((now % 1) * 1000)).padStart(3, '0');
  const due = Math.floor((elapsed * rate) / 1000);
  let text = '';
  for (; written < due; written += 1) text += `${stamp},${Math.sin(written / 5000) + (written % series)},s${written % series}\n`;
  if (text !== '') process.stdout.write(text);
}, TICK_MS);
