import { describe, expect, it } from 'vitest';

import { fieldsOf, fitsFormat, matches, shapeOf } from './schema';

describe('a form from a JSON Schema', () => {
  it('knows the formats of the pipeline file', () => {
    expect(shapeOf({ type: 'string', format: 'expression' })).toEqual({ is: 'expression', aggregate: false });
    expect(shapeOf({ type: 'string', format: 'aggregate' })).toEqual({ is: 'expression', aggregate: true });
    expect(shapeOf({ type: 'string', format: 'column' })).toEqual({ is: 'column' });
    expect(shapeOf({ type: 'string', format: 'duration', examples: ['5s'] })).toEqual({ is: 'text', format: 'duration', example: '5s' });
  });

  it('looks through an option, in both of its forms', () => {
    const duration = { type: 'string', format: 'duration' };
    expect(shapeOf({ anyOf: [duration, { type: 'null' }] })).toEqual(shapeOf(duration));
    expect(shapeOf({ type: ['integer', 'null'], minimum: 1, maximum: 1024 })).toEqual({ is: 'number', integer: true, min: 1, max: 1024 });
  });

  it('reads a choice of words with what each means', () => {
    const shape = shapeOf({ anyOf: [{ oneOf: [{ const: 'a', description: 'the first' }, { const: 'b' }] }, { type: 'null' }] });
    expect(shape).toEqual({
      is: 'enum',
      options: [
        { value: 'a', help: 'the first' },
        { value: 'b', help: '' },
      ],
    });
  });

  it('reads words or a table as a choice, and tells a value’s', () => {
    const shape = shapeOf({ anyOf: [{ type: 'string', enum: ['on_close', 'on_update'] }, { type: 'object', properties: { every: { type: 'string', format: 'duration' } } }] });
    if (shape.is !== 'choice') throw new Error('not a choice');
    expect(shape.options.map((option) => matches(option, 'on_close'))).toEqual([true, false]);
    expect(shape.options.map((option) => matches(option, { every: '5s' }))).toEqual([false, true]);
  });

  it('reads maps, lists and nested tables', () => {
    expect(shapeOf({ type: 'object', additionalProperties: { type: 'string', format: 'aggregate' } })).toEqual({ is: 'map', value: { is: 'expression', aggregate: true } });
    expect(shapeOf({ type: 'array', items: { type: 'string', format: 'column' } })).toEqual({ is: 'list', item: { is: 'column' } });
  });

  it('keeps the order, says what is needed, and offers text for what it does not know', () => {
    const fields = fieldsOf({ properties: { path: { type: 'string', description: 'A file.' }, odd: {} }, required: ['path'] });
    expect(fields.map((field) => [field.name, field.required, field.shape.is])).toEqual([
      ['path', true, 'text'],
      ['odd', false, 'json'],
    ]);
    expect(fields[0]?.help).toBe('A file.');
  });

  it.each([
    ['duration', '5s', true],
    ['duration', '1.5h', true],
    ['duration', '5', false],
    ['duration', '${WAIT:-5s}', true],
    ['window-size', '1mo', true],
    ['window-size', '1', false],
    ['size', '64KiB', true],
    ['size', '64', false],
    ['rate', '100/s', true],
    ['speed', '86400x', true],
    ['speed', 'fast', false],
    ['path', 'anything', true],
  ])('%s: “%s” fits: %s', (format, text, fits) => {
    expect(fitsFormat(format, text)).toBe(fits);
  });
});
