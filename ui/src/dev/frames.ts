/** Writes chart frames as studio/api/src/chart_frame.rs has them, for the fake studio. */

const VERSION = 1;
const REPLACES = 1;

export interface FakePoint {
  x: number;
  y: number;
  series: number;
}

export function chartFrame(stream: number, sequence: number, replaces: boolean, names: readonly string[], points: readonly FakePoint[]): Uint8Array {
  const encoded = names.map((name) => new TextEncoder().encode(name));
  const size = 22 + 2 + encoded.reduce((sum, name) => sum + 2 + name.length, 0) + 2 + 4 + points.length * 18;
  const view = new DataView(new ArrayBuffer(size));
  let at = 0;
  const put = (bytes: number, write: (offset: number) => void): void => {
    write(at);
    at += bytes;
  };
  put(1, (o) => view.setUint8(o, VERSION));
  put(1, (o) => view.setUint8(o, replaces ? REPLACES : 0));
  put(4, (o) => view.setUint32(o, stream, true));
  put(8, (o) => view.setBigUint64(o, BigInt(sequence), true));
  put(8, (o) => view.setBigInt64(o, BigInt(Date.now()) * 1_000n, true));
  put(2, (o) => view.setUint16(o, names.length, true));
  for (const name of encoded) {
    put(2, (o) => view.setUint16(o, name.length, true));
    name.forEach((byte) => put(1, (o) => view.setUint8(o, byte)));
  }
  put(2, (o) => view.setUint16(o, 0, true));
  put(4, (o) => view.setUint32(o, points.length, true));
  for (const point of points) put(8, (o) => view.setFloat64(o, point.x, true));
  for (const point of points) put(8, (o) => view.setFloat64(o, point.y, true));
  for (const point of points) put(2, (o) => view.setUint16(o, point.series, true));
  return new Uint8Array(view.buffer);
}
