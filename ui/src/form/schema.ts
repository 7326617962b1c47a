/** From a kind's JSON Schema to what a form shows. Only the shapes that the engine's specs have are known; the rest is edited as text. */

export interface FieldInfo {
  name: string;
  help: string;
  required: boolean;
  shape: Shape;
}

export interface Option {
  value: string;
  help: string;
}

export type Shape =
  /** `format`: duration, window-size, size, rate, speed, path, time-zone, or none. */
  | { is: 'text'; format: string; example: string }
  | { is: 'expression'; aggregate: boolean }
  | { is: 'column' }
  | { is: 'number'; integer: boolean; min: number | undefined; max: number | undefined }
  | { is: 'boolean' }
  | { is: 'enum'; options: Option[] }
  | { is: 'list'; item: Shape }
  | { is: 'map'; value: Shape }
  | { is: 'object'; fields: FieldInfo[] }
  /** One of several shapes; which one a value has is told by {@link matches}. */
  | { is: 'choice'; options: Shape[] }
  | { is: 'json' };

type Schema = Record<string, unknown>;

const asSchema = (value: unknown): Schema => (typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Schema) : {});
const asList = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const asText = (value: unknown): string => (typeof value === 'string' ? value : '');
const asNumber = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

/** The fields of an object's schema, in its order. */
export function fieldsOf(schema: unknown): FieldInfo[] {
  const required = new Set(asList(asSchema(schema)['required']));
  return Object.entries(asSchema(asSchema(schema)['properties'])).map(([name, property]) => ({
    name,
    help: helpOf(asSchema(property)),
    required: required.has(name),
    shape: shapeOf(property),
  }));
}

function helpOf(schema: Schema): string {
  const own = asText(schema['description']);
  if (own !== '') return own.replace(/\s*\n\s*/g, ' ');
  const inner = alternatives(schema);
  return inner.length === 1 ? asText(asSchema(inner[0])['description']) : '';
}

/** What a schema may be besides null. */
function alternatives(schema: Schema): unknown[] {
  return [...asList(schema['anyOf']), ...asList(schema['oneOf'])].filter((option) => asSchema(option)['type'] !== 'null');
}

/** The schema's type, null aside. */
function typeOf(schema: Schema): string {
  const type = schema['type'];
  return Array.isArray(type) ? asText(type.find((one) => one !== 'null')) : asText(type);
}

export function shapeOf(value: unknown): Shape {
  const schema = asSchema(value);
  const options = alternatives(schema);
  if (options.length > 0) return choiceOf(options);
  if (Array.isArray(schema['enum'])) return { is: 'enum', options: schema['enum'].filter((one) => one !== null).map((one) => ({ value: String(one), help: '' })) };
  if (typeof schema['const'] === 'string') return { is: 'enum', options: [{ value: schema['const'], help: asText(schema['description']) }] };
  switch (typeOf(schema)) {
    case 'string':
      return textOf(schema);
    case 'integer':
    case 'number':
      return { is: 'number', integer: typeOf(schema) === 'integer', min: asNumber(schema['minimum']), max: asNumber(schema['maximum']) };
    case 'boolean':
      return { is: 'boolean' };
    case 'array':
      return { is: 'list', item: shapeOf(schema['items']) };
    case 'object':
      return objectOf(schema);
    default:
      return { is: 'json' };
  }
}

function textOf(schema: Schema): Shape {
  const format = asText(schema['format']);
  if (format === 'expression') return { is: 'expression', aggregate: false };
  if (format === 'aggregate') return { is: 'expression', aggregate: true };
  if (format === 'column') return { is: 'column' };
  return { is: 'text', format, example: asText(asList(schema['examples'])[0]) };
}

function objectOf(schema: Schema): Shape {
  if (schema['properties'] !== undefined) return { is: 'object', fields: fieldsOf(schema) };
  const values = schema['additionalProperties'];
  return typeof values === 'object' && values !== null ? { is: 'map', value: shapeOf(values) } : { is: 'json' };
}

/** Choices of single words are one list; what remains of several shapes is told by the value. */
function choiceOf(options: unknown[]): Shape {
  const shapes = options.map(shapeOf);
  const words = shapes.flatMap((shape) => (shape.is === 'enum' ? shape.options : []));
  const others = shapes.filter((shape) => shape.is !== 'enum');
  const merged: Shape[] = words.length > 0 ? [{ is: 'enum', options: words }, ...others] : others;
  const [only] = merged;
  return merged.length === 1 && only !== undefined ? only : { is: 'choice', options: merged };
}

/** Whether a value could be of a shape, by its form alone. */
export function matches(shape: Shape, value: unknown): boolean {
  switch (shape.is) {
    case 'text':
    case 'expression':
    case 'column':
      return typeof value === 'string';
    case 'enum':
      return typeof value === 'string' && shape.options.some((option) => option.value === value);
    case 'number':
      return typeof value === 'number';
    case 'boolean':
      return typeof value === 'boolean';
    case 'list':
      return Array.isArray(value);
    case 'map':
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'choice':
      return shape.options.some((option) => matches(option, value));
    case 'json':
      return true;
  }
}

/** What a new value of a shape begins as. */
export function blank(shape: Shape): unknown {
  switch (shape.is) {
    case 'list':
      return [];
    case 'map':
    case 'object':
      return {};
    case 'boolean':
      return true;
    case 'enum':
      return shape.options[0]?.value ?? '';
    default:
      return '';
  }
}

const DURATION = /^\d+(\.\d+)?\s*(us|ms|s|m|h|d|w|mo)$/;
const WINDOW_SIZE = /^\d+(\.\d+)?\s*(us|ms|s|m|h|d|w|mo|y)$/;
const SIZE = /^\d+\s*(B|KiB|MiB|GiB|kB|MB|GB)$/;
const RATE = /^\d+(\.\d+)?\s*\/s$/;
const SPEED = /^\d+(\.\d+)?\s*x$/;

/** Whether a text can be what its format says, before the studio is asked. A reference to the environment may be anything. */
export function fitsFormat(format: string, text: string): boolean {
  if (text.includes('${')) return true;
  const rule = { duration: DURATION, 'window-size': WINDOW_SIZE, size: SIZE, rate: RATE, speed: SPEED }[format];
  return rule === undefined || rule.test(text.trim());
}

/** A field's name in words: `max_delay` becomes `Max delay`. */
export function inWords(name: string): string {
  const words = name.replace(/_/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
