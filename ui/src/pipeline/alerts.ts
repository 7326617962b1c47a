import { fieldsOf, type FieldInfo } from '../form/schema';
import type { Alert, AlertStanding, Catalog, Finding, GraphAlert } from '../generated/api';
import { en } from '../text/en';

/** Fields that hold a threshold. */
export const THRESHOLDS: readonly string[] = ['above', 'below', 'until'];

/** How an alert of the file stands: as the run has it, or `unknown` where nothing that runs has it. */
export type Shown = { name: string; standing: AlertStanding | 'unknown'; rule: string; alert: Alert | undefined };

const ORDER: Record<Shown['standing'], number> = { firing: 0, pending: 1, quiet: 2, unknown: 3 };
/** The alerts of the run and of the file, those that fire first. */
export function listed(running: readonly Alert[], file: readonly GraphAlert[]): Shown[] {
  const known = new Set(running.map((alert) => alert.name));
  const shown: Shown[] = running.map((alert) => ({ name: alert.name, standing: alert.standing, rule: named(alert.figure, alert.rule), alert }));
  const others = file.filter((alert) => !known.has(alert.name));
  return [...shown, ...others.map((alert): Shown => ({ name: alert.name, standing: 'unknown', rule: ruleWords(alert.fields), alert: undefined }))].sort(
    (a, b) => ORDER[a.standing] - ORDER[b.standing] || (a.alert?.since_ms ?? 0) - (b.alert?.since_ms ?? 0),
  );
}

const asText = (value: unknown): string => (typeof value === 'string' || typeof value === 'number' ? String(value) : '');

/** A rule with its figure as forms call it: `late of hourly above 100` is about late rows. */
const named = (figure: string, rule: string): string => (rule.startsWith(figure) ? `${en.alerts.figures[figure] ?? figure}${rule.slice(figure.length)}` : rule);

/** An alert of the file in words, as far as it is written: `late rows of hourly above 100`. */
export function ruleWords(fields: Readonly<Record<string, unknown>>): string {
  const [figure, node] = [asText(fields['figure']), asText(fields['node'])];
  const parts = [figure, node === '' ? '' : `of ${node}`];
  for (const word of ['above', 'below', 'is'] as const) if (fields[word] !== undefined) parts.push(`${word} ${asText(fields[word])}`);
  if (fields['for'] !== undefined) parts.push(`for ${asText(fields['for'])}`);
  return named(figure, parts.filter((part) => part !== '').join(' '));
}

/** The findings of one alert, each by the field's own name. */
export function ofAlert(findings: readonly Finding[], name: string): Finding[] {
  const own = `alert.${name}`;
  return findings
    .filter((finding) => finding.field === own || finding.field?.startsWith(`${own}.`) === true)
    .map((finding) => ({ ...finding, field: finding.field?.slice(own.length + 1) ?? '' }));
}

/** A threshold as typed: a number where it is one, else a text with its unit. */
export function threshold(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const number = Number(value);
  return value.trim() !== '' && Number.isFinite(number) ? number : value;
}

/** The fields that fit the figure, in the file's order; who is told has a form of its own. */
export function shownFields(catalog: Catalog, fields: Readonly<Record<string, unknown>>, nodes: readonly string[]): FieldInfo[] {
  const figure = typeof fields['figure'] === 'string' ? fields['figure'] : '';
  const fits = ({ name }: FieldInfo): boolean => {
    if (name === 'notify') return false;
    // What stands in the file is shown in any case: else it could not be taken away.
    if (fields[name] !== undefined) return true;
    if (name === 'node') return !catalog.run_figures.includes(figure);
    if (name === 'is') return figure === 'run_state';
    return !THRESHOLDS.includes(name) || figure !== 'run_state';
  };
  return fieldsOf(catalog.alert_schema).filter(fits).map((field) => asAlertField(field, nodes));
}

function asAlertField(field: FieldInfo, nodes: readonly string[]): FieldInfo {
  if (field.name === 'node') return { ...field, shape: { is: 'enum', options: nodes.map((value) => ({ value, help: '' })) } };
  if (THRESHOLDS.includes(field.name)) return { ...field, shape: { is: 'text', format: '', example: '100, 100/s, 80%, 10m, 64MiB' } };
  return field;
}
