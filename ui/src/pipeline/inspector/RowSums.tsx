import type { ReactElement } from 'react';

import { useNodeChanged, useNodeFigures, usePhase } from '../../store/select';
import { en } from '../../text/en';
import { count } from '../../text/format';

/** What became of every row: read = accepted + filtered + late + quarantined. */
export function RowSums({ id }: { id: string }): ReactElement {
  const figures = useNodeFigures(id);
  const changed = useNodeChanged(id);
  const phase = usePhase();
  const stale = phase === 'contact_lost';
  if (changed) return <p className="inspector-note mute">{en.inspector.changedSinceRun}</p>;
  if (figures === undefined) return <p className="inspector-note mute">{en.inspector.notRunning}</p>;
  // While it runs, rows have been read of which it is not known yet what becomes of them. One that fails leaves some of those.
  const isOver = phase === 'finished' || phase === 'stopped';
  const holds = !isOver || figures.read === figures.accepted + figures.filtered + figures.late + figures.quarantined;
  return (
    <section className={`inspector-section ${stale ? 'stale' : ''}`}>
      <h3 className="section-title" title={en.inspector.sum}>
        {en.inspector.rowsThisRun}
      </h3>
      <table className="sums" aria-label={en.inspector.sum}>
        <tbody>
          <Sum label={en.inspector.read} value={figures.read} />
          <Sum label={en.inspector.accepted} value={figures.accepted} />
          <Sum label={en.inspector.filtered} value={figures.filtered} />
          <Sum label={en.inspector.late} value={figures.late} warn />
          {figures.late_after_idle > 0 && <Sum label={en.inspector.lateAfterIdle} value={figures.late_after_idle} warn />}
          <Sum label={en.inspector.quarantined} value={figures.quarantined} warn />
        </tbody>
      </table>
      {!holds && <p className="form-finding error">{en.inspector.sumBroken}</p>}
    </section>
  );
}

function Sum({ label, value, warn = false }: { label: string; value: number; warn?: boolean }): ReactElement {
  return (
    <tr>
      <th scope="row">{label}</th>
      <td className={`number ${warn && value > 0 ? 'warn' : ''}`}>{count(value)}</td>
    </tr>
  );
}
