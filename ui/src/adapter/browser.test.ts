import { beforeEach, describe, expect, it } from 'vitest';

import { takeToken } from './browser';

describe('the token in the address', () => {
  beforeEach(() => {
    sessionStorage.clear();
    history.replaceState(null, '', '/');
  });

  it('goes from the fragment into the session, and leaves the rest of the address', () => {
    history.replaceState(null, '', '/?run=1#token=abc&x=2');
    expect(takeToken(location, history, sessionStorage)).toBe('abc');
    expect(location.href).toMatch(/\/\?run=1#x=2$/);
  });

  it('is known again after a reload', () => {
    history.replaceState(null, '', '/#token=abc');
    takeToken(location, history, sessionStorage);
    expect(takeToken(location, history, sessionStorage)).toBe('abc');
  });

  it('is absent where none was ever given', () => {
    expect(takeToken(location, history, sessionStorage)).toBeNull();
  });
});
