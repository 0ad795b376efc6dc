import type { MappingRow } from '../overview.ts';
import { Form, type PageFrame } from './layout.tsx';

/** Why a mapping takes nothing, and the button that ends it, where a person has to. */
export function Pause({ frame, row }: { frame: PageFrame; row: MappingRow }) {
  if (row.paused === undefined) return null;
  const why = <span class="warn small">paused: {row.paused}</span>;
  if (!row.resumable) return <div>{why}</div>;
  return (
    <Form frame={frame} action={`/ops/mappings/${encodeURIComponent(row.uuid)}/resume`} class="row">
      {why}
      <button type="submit">Resume</button>
    </Form>
  );
}
