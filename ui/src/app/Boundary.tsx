import { Component, type ReactNode } from 'react';

import { en } from '../text/en';

interface Props {
  /** What the error belongs to; another value tries again. */
  of: string;
  children: ReactNode;
}

interface State {
  of: string;
  error: Error | undefined;
}

/** Keeps an error of one screen to that screen, and says it. */
export class Boundary extends Component<Props, State> {
  override state: State = { of: this.props.of, error: undefined };

  static getDerivedStateFromError(error: unknown): Partial<State> {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  static getDerivedStateFromProps(props: Props, state: State): State | null {
    return props.of === state.of ? null : { of: props.of, error: undefined };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    return (
      <div className="empty" role="alert">
        <h2>{en.boundary.title}</h2>
        <p>{en.boundary.text}</p>
        <p className="mono error">{error.message}</p>
        <button type="button" className="button" onClick={() => this.setState({ error: undefined })}>
          {en.boundary.again}
        </button>
      </div>
    );
  }
}
