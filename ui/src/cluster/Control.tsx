import { Crown } from 'lucide-react';
import type { ReactElement } from 'react';

import type { ControlGroup } from '../generated/api';
import { en } from '../text/en';
import { inVoteOrder } from './select';

/** The nodes that agree on what runs, and which of them leads. */
export function Control({ control }: { control: ControlGroup }): ReactElement {
  const led = control.nodes.some((node) => node.part === 'leads');
  return (
    <>
      <table className="rows-table cluster-table packed">
        <thead>
          <tr>
            <th scope="col">{en.cluster.node}</th>
            <th scope="col">{en.cluster.address}</th>
            <th scope="col">{en.cluster.part}</th>
            <td />
          </tr>
        </thead>
        <tbody>
          {inVoteOrder(control.nodes).map((node) => (
            <tr key={node.name} data-control={node.part}>
              <th scope="row" className="cluster-name">
                {node.name}
                {node.part === 'leads' && (
                  <span className="cluster-badge" title={en.cluster.controlLeaderHelp}>
                    <Crown size={12} aria-hidden />
                    {en.cluster.term(control.term)}
                  </span>
                )}
              </th>
              <td>{node.address}</td>
              <td title={node.part === 'follows' ? en.cluster.followsHelp : undefined}>{en.cluster.controlPart[node.part]}</td>
              <td />
            </tr>
          ))}
        </tbody>
      </table>
      {(!led || !control.has_majority) && <p className="cluster-note warn">{led ? en.cluster.noMajority : en.cluster.nobodyLeads}</p>}
    </>
  );
}
