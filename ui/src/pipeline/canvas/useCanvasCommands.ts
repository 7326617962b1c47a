import { useReactFlow } from '@xyflow/react';
import { useEffect, type RefObject } from 'react';

import { edit, paste, select, selectNode } from '../../store/actions';
import { getState } from '../../store/store';
import { setCanvasCommands } from './commands';
import { freeInput, freePlace, NODE_HEIGHT, NODE_WIDTH, neighbour, placeAfter, type Point } from './model';

const nodesNow = () => getState().document?.graph.nodes ?? [];
const kindOf = (name: string) => getState().welcome?.catalog.kinds.find((kind) => kind.name === name);

/** Lets keys, the palette and other screens act on the canvas while it is shown. */
export function useCanvasCommands(element: RefObject<HTMLDivElement | null>): void {
  const { screenToFlowPosition, setCenter, getZoom } = useReactFlow();
  useEffect(() => {
    const middle = (): Point => {
      const box = element.current?.getBoundingClientRect();
      if (box === undefined) return [0, 0];
      const { x, y } = screenToFlowPosition({ x: box.left + box.width / 2, y: box.top + box.height / 2 });
      return [x - NODE_WIDTH / 2, y - NODE_HEIGHT / 2];
    };
    const show = (id: string): void => {
      const node = nodesNow().find((other) => other.id === id);
      if (node !== undefined) {
        void setCenter(node.position[0] + NODE_WIDTH / 2, node.position[1] + NODE_HEIGHT / 2, { zoom: getZoom(), duration: 0 });
      }
    };
    setCanvasCommands({
      show,
      selectAll: () => select({ nodes: nodesNow().map((node) => node.id), edges: [] }),
      step: (to) => {
        const nodes = nodesNow();
        const from = nodes.find((node) => node.id === getState().selection.nodes.at(-1));
        const next = from === undefined ? nodes[0] : neighbour(from, to, nodes);
        if (next !== undefined) selectNode(next.id);
      },
      nudge: async (dx, dy) => {
        const chosen = getState().selection.nodes;
        const moved = nodesNow().filter((node) => chosen.includes(node.id));
        if (moved.length === 0) return;
        const positions = Object.fromEntries(moved.map((node) => [node.id, [node.position[0] + dx, node.position[1] + dy] as Point]));
        await edit({ edit: 'move_nodes', positions });
      },
      paste: () => paste(freePlace(middle(), nodesNow())),
      add: (kind) => add(kind, middle()),
      addAt: async (kind, x, y) => {
        const at = screenToFlowPosition({ x, y });
        await edit({ edit: 'add_node', kind, at: [Math.round(at.x), Math.round(at.y - NODE_HEIGHT / 2)] });
      },
    });
    return () => setCanvasCommands(undefined);
  }, [element, screenToFlowPosition, setCenter, getZoom]);
}

/** After the selected node, and fed by it where both can; else in the middle. */
async function add(kind: string, middle: Point): Promise<void> {
  const { nodes: chosen } = getState().selection;
  const after = chosen.length === 1 ? nodesNow().find((node) => node.id === chosen[0]) : undefined;
  const place = freePlace(after === undefined ? middle : placeAfter(after), nodesNow());
  const fits = after !== undefined && kindOf(after.kind)?.has_output === true;
  const nothing = { id: '', kind, inputs: [], position: place, fields: {}, key_setting: '', outputs: [], explanations: {}, guarantees: [], lines: { first: 0, last: 0 } };
  const { free, input } = freeInput(nothing, kindOf(kind));
  const from = fits && free ? { from: after.id, ...(input === undefined ? {} : { input }) } : {};
  await edit({ edit: 'add_node', kind, at: place, ...from });
}
