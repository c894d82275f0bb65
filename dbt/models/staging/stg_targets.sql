-- One row per month × scope × KPI: the accepted row that won its key (landing decides; see exports).
select
    targets.month,
    targets.scope_type,
    targets.scope_id,
    targets.kpi_id,
    targets.floor,
    targets.target,
    targets.stretch,
    targets.updated_at,
    files.loaded_at as landed_at
from {{ source('raw', 'targets') }} as targets
inner join {{ source('raw', 'files') }} as files on targets._file_no = files.file_no
where targets._status = 'current'
