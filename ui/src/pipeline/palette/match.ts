import type { KindInfo } from '../../generated/api';

/** The kinds that a query means, those whose title begins with it first. */
export function matchKinds(kinds: readonly KindInfo[], query: string): KindInfo[] {
  const wanted = query.trim().toLowerCase();
  if (wanted === '') return [...kinds];
  const found = kinds.filter((kind) => kind.title.toLowerCase().includes(wanted) || kind.name.includes(wanted));
  const first = (kind: KindInfo): number => (kind.title.toLowerCase().startsWith(wanted) ? 0 : 1);
  return found.sort((a, b) => first(a) - first(b));
}

const ORDER = ['source', 'shape', 'window', 'sink'];

/** The kinds by category, in the order in which rows meet them; a category that is not known comes last. */
export function byCategory(kinds: readonly KindInfo[]): { category: string; kinds: KindInfo[] }[] {
  const groups = new Map<string, KindInfo[]>();
  for (const kind of kinds) groups.set(kind.category, [...(groups.get(kind.category) ?? []), kind]);
  const place = (category: string): number => (ORDER.includes(category) ? ORDER.indexOf(category) : ORDER.length);
  return [...groups].map(([category, members]) => ({ category, kinds: members })).sort((a, b) => place(a.category) - place(b.category));
}
