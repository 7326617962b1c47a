import { X } from 'lucide-react';
import { useEffect, useId, useRef, type ReactElement, type ReactNode } from 'react';

import { en } from '../text/en';

interface Props {
  title: string;
  wide?: boolean;
  /** None where it must be answered. */
  onClose?: () => void;
  foot?: ReactNode;
  children: ReactNode;
}

/** A modal dialog: the focus stays inside, Escape closes it. */
export function Dialog({ title, wide = false, onClose, foot, children }: Props): ReactElement {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = element.current;
    if (dialog?.open === false) dialog.showModal();
    // A modal dialog gives the focus to its first button, which closes it.
    dialog?.querySelector<HTMLElement>('[data-focus], .button.primary')?.focus();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={element}
      className={wide ? 'dialog wide' : 'dialog'}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
    >
      <div className="dialog-head">
        <h2 id={heading}>{title}</h2>
        {onClose !== undefined && (
          <button type="button" className="icon-button" aria-label={en.close} onClick={onClose}>
            <X size={15} aria-hidden />
          </button>
        )}
      </div>
      <div className="dialog-body">{children}</div>
      {foot !== undefined && <div className="dialog-foot">{foot}</div>}
    </dialog>
  );
}
