import type { BaseView } from './base-view.ts';
import type { Templates } from './render.ts';

/** The same templates for an HAProxy that is about to stop. */
export function leavingTemplates(templates: Templates): Templates {
  const { frame } = templates;
  const leaving: Pick<BaseView, 'leaving'> = { leaving: true };
  return { ...templates, frame: { ...frame, render: (view) => frame.render({ ...view, ...leaving }) } };
}
