import { create } from 'zustand';

import { initialState, type State } from './state';

/** The one store of the screens. What comes from the studio is put in by `session.ts`; what the user does, by `actions.ts`. */
export const useStore = create<State>(() => initialState);

export const getState = (): State => useStore.getState();

export const setState = (change: Partial<State>): void => useStore.setState(change);
