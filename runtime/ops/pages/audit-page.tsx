import type { AuditRecord } from '../../http/audit-trail.ts';
import { Page, type PageFrame, Table, Time } from './layout.tsx';

/** Who did what lately, newest first. */
export function AuditPage({ frame, records }: { frame: PageFrame; records: readonly AuditRecord[] }) {
  return (
    <Page frame={frame} title="Audit">
      <h1>Audit</h1>
      <p class="quiet">The last 200 actions on the servers of this store. The log has all, refused attempts too.</p>
      {records.length === 0 ? (
        <p>Nobody has done anything yet.</p>
      ) : (
        <Table
          id="audit"
          columns={['When', 'Who', 'What', 'To', 'From']}
          rows={records.map(({ at, who, what, to, from }) => (
            <tr>
              <td>
                <Time at={at} />
              </td>
              <td>{who ?? '-'}</td>
              <td>{what}</td>
              <td class="what">{to ?? ''}</td>
              <td>{from}</td>
            </tr>
          ))}
        />
      )}
    </Page>
  );
}
