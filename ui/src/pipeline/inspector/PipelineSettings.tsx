import { CircleAlert, CircleCheck, TriangleAlert } from 'lucide-react';
import { useMemo, type ReactElement, type ReactNode } from 'react';

import { FormProvider, type FormContext } from '../../form/context';
import { Field } from '../../form/Field';
import { fieldsOf } from '../../form/schema';
import { edit, selectNode, showDock } from '../../store/actions';
import { isOver, phaseOf, useReadOnly } from '../../store/select';
import { NO_CATALOG } from '../../store/state';
import { useStore } from '../../store/store';
import { en } from '../../text/en';
import { bytes, closed, count, duration, sentence } from '../../text/format';
import { isChange, wantsWords } from '../autoscale';
import { AlertForms } from './AlertForms';

const NO_COLUMNS: readonly never[] = [];

/** The pipeline's own fields, its health, and what a run would touch. */
export function PipelineSettings(): ReactElement | null {
  const document = useStore((state) => state.document);
  const catalog = useStore((state) => state.welcome?.catalog ?? NO_CATALOG);
  const readOnly = useReadOnly();
  const form = useMemo<FormContext>(
    () => ({
      node: undefined,
      columns: NO_COLUMNS,
      columnsFrom: '',
      findings: document?.findings.filter((finding) => finding.node === undefined) ?? [],
      explanations: {},
      readOnly,
      commit: (path, value) => void edit({ edit: 'set_pipeline_field', path: [...path], ...(value === undefined ? {} : { value }) }),
    }),
    [document, readOnly],
  );
  if (document === undefined) return null;
  return (
    <>
      <div className="tabs inspector-title">
        <h2>{en.inspector.pipeline}</h2>
      </div>
      <div className="inspector-body scroll">
        <FormProvider value={form}>
          <div className="form">
            {fieldsOf(catalog.pipeline_schema).map((field) => (
              <Field key={field.name} field={field} path={[field.name]} value={document.graph.settings[field.name]} />
            ))}
          </div>
        </FormProvider>
        <AlertForms />
        <Health />
        <Touches />
      </div>
    </>
  );
}

/** What is wrong with the file, then what the run has to say; that all is well is said where neither has anything. */
function Health(): ReactElement {
  const findings = useStore((state) => state.document?.findings ?? NO_COLUMNS);
  const figures = useStore((state) => state.figures);
  const over = useStore((state) => isOver(phaseOf(state)));
  const errors = findings.filter((finding) => finding.severity === 'error').length;
  const warnings = findings.length - errors;
  const bottleneck = over ? undefined : figures?.bottleneck;
  const waits = over ? undefined : figures?.waits_for;
  const late = figures?.late ?? 0;
  const quarantined = figures?.quarantined ?? 0;
  return (
    <section className="inspector-section">
      <h3 className="section-title">{en.inspector.health}</h3>
      {findings.length > 0 && (
        <p className="health">
          {errors > 0 && <span className="error">{en.inspector.errors(errors)}</span>}
          {warnings > 0 && <span className="warn">{en.inspector.warnings(warnings)}</span>}
          <button type="button" className="link-button" onClick={() => showDock('problems')}>
            {en.inspector.showProblems}
          </button>
        </p>
      )}
      {bottleneck !== undefined && (
        <Said>
          <NodeLink id={bottleneck.node} /> {bottleneck.reason}
        </Said>
      )}
      <LoadHealth />
      {late > 0 && <Said>{en.inspector.lateRows(late)}</Said>}
      {quarantined > 0 && <Said>{en.inspector.quarantinedRows(quarantined)}</Said>}
      {findings.length === 0 && bottleneck === undefined && late + quarantined === 0 && (
        <p className="health ok">
          <CircleCheck size={14} aria-hidden /> {en.inspector.healthy}
        </p>
      )}
      {waits !== undefined && <p className="inspector-note mute">{sentence(waits)}</p>}
      <CheckpointHealth />
    </section>
  );
}

/** Nodes whose load asks for other numbers of tasks, and what a run did about that by itself. */
function LoadHealth(): ReactElement | null {
  const running = useStore((state) => phaseOf(state) === 'running');
  const autoscale = useStore((state) => state.figures?.autoscale);
  if (autoscale === undefined) return null;
  return (
    <>
      {running &&
        autoscale.advice.filter(isChange).map((advice) => (
          <p key={advice.node} className="inspector-note">
            <NodeLink id={advice.node} /> {wantsWords(advice)}
          </p>
        ))}
      {autoscale.decided !== undefined && <p className="inspector-note mute">{en.autoscale.last(closed(autoscale.decided))}</p>}
    </>
  );
}

/** The newest checkpoint that is over, and how many came to nothing. */
function CheckpointHealth(): ReactElement | null {
  const checkpoints = useStore((state) => state.figures?.checkpoints ?? NO_COLUMNS);
  const newest = [...checkpoints].reverse().find((one) => one.outcome === 'complete');
  const failed = checkpoints.filter((one) => one.outcome === 'failed').length;
  if (checkpoints.length === 0) return null;
  const took = newest === undefined ? 0 : newest.aligning_ms + newest.writing_ms + newest.manifest_ms + newest.commit_ms;
  return (
    <>
      {failed > 0 && (
        <p className="health error">
          <CircleAlert size={14} aria-hidden /> <span>{en.checkpoints.failedOf(failed)}</span>
        </p>
      )}
      <p className="inspector-note mute">
        {newest !== undefined && `${en.checkpoints.newest(count(newest.epoch), duration(took), bytes(newest.bytes))} `}
        <button type="button" className="link-button" onClick={() => showDock('checkpoints')}>
          {en.checkpoints.show}
        </button>
      </p>
    </>
  );
}

function Said({ children }: { children: ReactNode }): ReactElement {
  return (
    <p className="health warn">
      <TriangleAlert size={14} aria-hidden /> <span>{children}</span>
    </p>
  );
}

/** A node's name, as it is written: never with another first letter. */
function NodeLink({ id }: { id: string }): ReactElement {
  return (
    <button type="button" className="link-button" onClick={() => selectNode(id)}>
      {id}
    </button>
  );
}

function Touches(): ReactElement {
  const touches = useStore((state) => state.document?.graph.touches ?? NO_COLUMNS);
  return (
    <section className="inspector-section">
      <h3 className="section-title">{en.inspector.touches}</h3>
      {touches.length === 0 ? (
        <p className="mute">{en.inspector.touchesNone}</p>
      ) : (
        <ul className="touches">
          {touches.map((touch) => (
            <li key={`${touch.node} ${touch.kind} ${touch.what}`}>
              <NodeLink id={touch.node} />{' '}
              <span className="mute">{en.inspector.touchKinds[touch.kind]}</span> <span className="mono">{touch.what}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
