import { CircleAlert, Info, TriangleAlert, X } from 'lucide-react';
import { useEffect, type ReactElement } from 'react';

import { dismissToast } from '../store/actions';
import type { Toast } from '../store/state';
import { useStore } from '../store/store';
import { en } from '../text/en';

const LIFE_MS = { info: 4_000, warning: 8_000, error: 12_000 };
const ICONS = { info: Info, warning: TriangleAlert, error: CircleAlert };

export function Toasts(): ReactElement {
  const toasts = useStore((state) => state.toasts);
  return (
    <ul className="toasts" aria-label={en.toast.label} aria-live="polite">
      {toasts.map((toast) => (
        <ToastLine key={toast.id} toast={toast} />
      ))}
    </ul>
  );
}

function ToastLine({ toast }: { toast: Toast }): ReactElement {
  const { id, severity, message } = toast;
  useEffect(() => {
    const timer = window.setTimeout(() => dismissToast(id), LIFE_MS[severity]);
    return () => window.clearTimeout(timer);
  }, [id, severity]);
  const Shape = ICONS[severity];
  return (
    <li className={`toast ${severity}`} role={severity === 'error' ? 'alert' : undefined}>
      <Shape size={15} strokeWidth={1.8} aria-hidden />
      <span className="toast-text">{message}</span>
      <button type="button" className="icon-button" aria-label={en.toast.dismiss} onClick={() => dismissToast(id)}>
        <X size={14} aria-hidden />
      </button>
    </li>
  );
}
