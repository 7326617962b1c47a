import type { ReactElement } from 'react';

import { disconnect } from '../../store/actions';
import { useEdgeFigures, useNode, usePhase, useReadOnly } from '../../store/select';
import { edgeKey, portName, type EdgeRef } from '../../store/state';
import { en } from '../../text/en';
import { bytes, count, percent, rate, span } from '../../text/format';
import { TapTable } from './TapTable';

/** An edge: its columns, its figures, its rows. */
export function EdgeInspector({ edge }: { edge: EdgeRef }): ReactElement {
  const columns = useNode(edge.from)?.outputs.find((port) => port.name === edge.port)?.columns;
  const readOnly = useReadOnly();
  const phase = usePhase();
  return (
    <>
      <div className="tabs inspector-title">
        <h2 className="mono">
          {portName(edge.from, edge.port)} → {edge.to}
        </h2>
        {!readOnly && (
          <div className="tabs-end">
            <button type="button" className="link-button" onClick={() => void disconnect(edge)}>
              {en.inspector.disconnect}
            </button>
          </div>
        )}
      </div>
      <div className="inspector-body scroll">
        <EdgeFacts edge={edge} />
        {phase === 'draft' ? (
          <p className="inspector-note mute">{en.inspector.rowsWithRun}</p>
        ) : (
          <TapTable edge={edge} title={en.inspector.rows} key={edgeKey(edge)} />
        )}
        <section className="inspector-section">
          <h3 className="section-title">
            {en.inspector.schema}
            {columns !== undefined && <span className="plain"> · {en.canvas.columns(columns.length)}</span>}
          </h3>
          {columns === undefined ? (
            <p className="inspector-note mute">{en.inspector.schemaUnknown}</p>
          ) : (
            <table className="sums">
              <tbody>
                {columns.map((column) => (
                  <tr key={column.name}>
                    <th scope="row" className="mono">
                      {column.name}
                    </th>
                    <td className="number mute">{column.type}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </section>
      </div>
    </>
  );
}

function EdgeFacts({ edge }: { edge: EdgeRef }): ReactElement | null {
  const figures = useEdgeFigures(edge);
  if (figures === undefined) return null;
  const facts: [string, string][] = [
    [en.inspector.total, count(figures.rows)],
    [en.inspector.rate, `${rate(figures.rows_per_s)}, ${en.canvas.bytesPerSecond(bytes(figures.bytes_per_s))}`],
    [en.inspector.waiting, percent(figures.waiting_percent)],
    [en.inspector.queued, en.canvas.rows(figures.queued_rows)],
  ];
  if (figures.lag_ms !== undefined) facts.push([en.inspector.lag, span(figures.lag_ms)]);
  return (
    <table className="sums">
      <tbody>
        {facts.map(([label, value]) => (
          <tr key={label}>
            <th scope="row">{label}</th>
            <td className="number">{value}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
