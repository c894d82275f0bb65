-- One row per file × reason: how many rows are quarantined; the rows themselves stay in the private warehouse.
select
    quarantine.export,
    files.path,
    quarantine.reason,
    count(*) as rows_quarantined
from {{ source('raw', 'quarantine') }} as quarantine
inner join {{ source('raw', 'files') }} as files on quarantine.file_no = files.file_no
group by quarantine.export, files.path, quarantine.reason
