import { ChevronDown, ChevronRight, Plus } from 'lucide-react';
import { useEffect, useMemo, useRef, type ReactElement } from 'react';

import { FormProvider, useForm, type FormContext } from '../../form/context';
import { Field, FindingLine } from '../../form/Field';
import { DraftInput } from '../../form/inputs';
import { ListEditor } from '../../form/ListEditor';
import type { GraphAlert } from '../../generated/api';
import { addAlert, edit, showAlert } from '../../store/actions';
import { useNodes, useReadOnly } from '../../store/select';
import { NO_CATALOG } from '../../store/state';
import { useStore } from '../../store/store';
import { en } from '../../text/en';
import { ofAlert, ruleWords, shownFields, threshold, THRESHOLDS } from '../alerts';

const NONE: readonly never[] = [];
const NAME = /^[a-z0-9_-]{1,64}$/;
const DESKTOP = 'desktop';

/** The alerts of the pipeline: each a line, and one of them its form. */
export function AlertForms(): ReactElement {
  const alerts = useStore((state) => state.document?.graph.alerts ?? NONE);
  const open = useStore((state) => state.alert);
  const readOnly = useReadOnly();
  return (
    <section className="inspector-section">
      <h3 className="section-title">{en.alerts.title}</h3>
      {alerts.length === 0 && <p className="inspector-note mute">{en.alerts.noneHint}</p>}
      {alerts.map((alert) => (
        <AlertEntry key={alert.name} alert={alert} open={open === alert.name} />
      ))}
      {!readOnly && (
        <button type="button" className="link-button form-add" onClick={() => void addAlert()}>
          <Plus size={12} aria-hidden /> {en.alerts.add}
        </button>
      )}
    </section>
  );
}

function AlertEntry({ alert, open }: { alert: GraphAlert; open: boolean }): ReactElement {
  const entry = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (open) entry.current?.scrollIntoView({ block: 'nearest' });
  }, [open]);
  const Shape = open ? ChevronDown : ChevronRight;
  return (
    <div
      ref={entry}
      className="alert-entry"
      data-alert={alert.name}
      onKeyDown={(event) => {
        if (event.key === 'Escape' && open) showAlert(undefined);
      }}
    >
      <button type="button" className="alert-line" aria-expanded={open} onClick={() => showAlert(open ? undefined : alert.name)}>
        <Shape size={13} aria-hidden />
        <span className="mono">{alert.name}</span>
        <span className="mute">{ruleWords(alert.fields)}</span>
      </button>
      {open && <AlertForm alert={alert} />}
    </div>
  );
}

function AlertForm({ alert }: { alert: GraphAlert }): ReactElement {
  const form = useAlertForm(alert);
  const catalog = useStore((state) => state.welcome?.catalog ?? NO_CATALOG);
  const nodes = useNodes();
  const fields = useMemo(() => shownFields(catalog, alert.fields, nodes.map((node) => node.id)), [catalog, alert.fields, nodes]);
  const own = form.findings.find((finding) => finding.field === '');
  return (
    <FormProvider value={form}>
      <div className="form alert-form">
        <NameField alert={alert} />
        {fields.map((field) => (
          <Field key={field.name} field={field} path={[field.name]} value={shownValue(field.name, alert.fields[field.name])} />
        ))}
        <Notified fields={alert.fields} />
        {own !== undefined && <FindingLine finding={own} path={[]} />}
        {!form.readOnly && (
          <div className="inspector-buttons">
            <button type="button" className="button" onClick={() => void edit({ edit: 'remove_alert', alert: alert.name })}>
              {en.alerts.remove}
            </button>
          </div>
        )}
      </div>
    </FormProvider>
  );
}

function useAlertForm(alert: GraphAlert): FormContext {
  const findings = useStore((state) => state.document?.findings ?? NONE);
  const readOnly = useReadOnly();
  return useMemo(
    () => ({
      node: undefined,
      columns: NONE,
      columnsFrom: '',
      findings: ofAlert(findings, alert.name),
      explanations: {},
      readOnly,
      commit: (path, value) => {
        const written = THRESHOLDS.includes(path[0] ?? '') ? threshold(value) : value;
        void edit({ edit: 'set_alert_field', alert: alert.name, path: [...path], ...(written === undefined ? {} : { value: written }) });
      },
    }),
    [findings, alert.name, readOnly],
  );
}

const shownValue = (name: string, value: unknown): unknown => (THRESHOLDS.includes(name) && typeof value === 'number' ? String(value) : value);

function NameField({ alert }: { alert: GraphAlert }): ReactElement {
  const alerts = useStore((state) => state.document?.graph.alerts ?? NONE);
  const refuse = (name: string): string | undefined => {
    if (!NAME.test(name)) return en.alerts.nameRule;
    return alerts.some((other) => other.name === name && other.name !== alert.name) ? en.alerts.nameTaken : undefined;
  };
  const rename = async (name: string): Promise<void> => {
    if (await edit({ edit: 'rename_alert', alert: alert.name, name })) showAlert(name);
  };
  return (
    <div className="form-field">
      <label htmlFor="alert-name">{en.alerts.name}</label>
      <DraftInput id="alert-name" label={en.alerts.name} text={alert.name} refuse={refuse} commit={(name) => void rename(name)} />
    </div>
  );
}

/** Who is told: the desktop by a tick, and the addresses of webhooks. */
function Notified({ fields }: { fields: Readonly<Record<string, unknown>> }): ReactElement {
  const form = useForm();
  const told = Array.isArray(fields['notify']) ? (fields['notify'] as unknown[]) : [];
  const desktop = told.includes(DESKTOP);
  const hooks = told.filter((one) => one !== DESKTOP);
  const set = (onDesktop: boolean, all: readonly unknown[]): void => {
    const notify = [...(onDesktop ? [DESKTOP] : []), ...all];
    form.commit(['notify'], notify.length === 0 ? undefined : notify);
  };
  const list = { ...form, findings: NONE, commit: (_path: readonly string[], value: unknown) => set(desktop, Array.isArray(value) ? (value as unknown[]) : []) };
  const finding = form.findings.find((one) => one.field === 'notify' || one.field?.startsWith('notify.') === true);
  return (
    <div className="form-field" data-field="notify">
      <span className="form-legend">{en.form.fields['notify']}</span>
      <label className="form-tick">
        <input type="checkbox" checked={desktop} disabled={form.readOnly} onChange={(event) => set(event.target.checked, hooks)} />
        {en.alerts.notifyDesktop}
      </label>
      <FormProvider value={list}>
        <ListEditor id="alert-notify" label={en.alerts.webhooks} shape={HOOKS} path={['notify']} value={hooks} invalid={finding !== undefined} item={HOOKS.item} />
      </FormProvider>
      {finding !== undefined && <FindingLine finding={finding} path={['notify']} />}
      <p className="form-finding">{en.alerts.notifyHelp}</p>
    </div>
  );
}

const HOOKS = { is: 'list', item: { is: 'text', format: '', example: 'https://hooks.example/${HOOK}' } } as const;
