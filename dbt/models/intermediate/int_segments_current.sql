-- One row per block of a session's run sheet.
select * from {{ ref('stg_segments') }}
