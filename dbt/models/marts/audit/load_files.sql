-- One row per file seen by landing: its verdict, and the verdicts of its rows (accepted + quarantined + duplicate + pending = in).
select
    export,
    path,
    sha256,
    bytes,
    verdict,
    reason,
    rows_in,
    rows_accepted,
    rows_quarantined,
    rows_duplicate,
    rows_pending,
    loaded_at,
    adapter
from {{ source('raw', 'files') }}
