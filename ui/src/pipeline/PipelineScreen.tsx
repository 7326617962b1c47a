import './pipeline.css';

import { ReactFlowProvider } from '@xyflow/react';
import type { ReactElement } from 'react';

import { Canvas } from './canvas/Canvas';
import { Strip } from './canvas/Strip';
import { Dock } from './dock/Dock';
import { Inspector } from './inspector/Inspector';
import { Palette } from './palette/Palette';

export default function PipelineScreen(): ReactElement {
  return (
    <ReactFlowProvider>
      <div className="pipeline">
        <Palette />
        <div className="canvas-area">
          <Canvas />
          <Strip />
        </div>
        <Inspector />
        <Dock />
      </div>
    </ReactFlowProvider>
  );
}
