import { Crown } from 'lucide-react';
import type { ReactElement } from 'react';

import type { ControlGroup, GroupDeployment } from '../generated/api';
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
      {control.deployments.length > 0 && <Deployments deployments={control.deployments} />}
      {(!led || !control.has_majority) && <p className="cluster-note warn">{led ? en.cluster.noMajority : en.cluster.nobodyLeads}</p>}
    </>
  );
}

/** What the group keeps running, and on how many disks that is. */
function Deployments({ deployments }: { deployments: GroupDeployment[] }): ReactElement {
  return (
    <table className="rows-table cluster-table packed">
      <thead>
        <tr>
          <th scope="col">{en.cluster.deployment}</th>
          <th scope="col">{en.cluster.ledBy}</th>
          <th scope="col" title={en.cluster.replicasHelp}>
            {en.cluster.replicas}
          </th>
          <td />
        </tr>
      </thead>
      <tbody>
        {deployments.map((of) => (
          <tr key={of.name} data-deployment={of.state}>
            <th scope="row" className="cluster-name">
              {of.name}
            </th>
            <td title={of.why}>{of.state === 'running' ? of.node : en.cluster.deploymentState[of.state]}</td>
            <td title={of.held < of.replicas ? en.cluster.underReplicated : undefined}>
              {of.replicas > 0 && of.epoch !== undefined ? en.cluster.of(String(of.held), String(of.replicas)) : en.cluster.none}
            </td>
            <td>{of.state === 'waiting' ? of.why : undefined}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
