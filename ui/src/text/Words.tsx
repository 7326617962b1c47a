import { Fragment, type ReactElement } from 'react';

/** A text whose `names` stand in the letters of code, as they do where they come from. */
export function Words({ text }: { text: string }): ReactElement {
  const parts = text.split(/`([^`]+)`/);
  return <>{parts.map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : <Fragment key={index}>{part}</Fragment>))}</>;
}
