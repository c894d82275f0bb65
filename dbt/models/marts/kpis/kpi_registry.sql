-- One row per KPI, as the policy folder's kpis.csv has it: the only place where a KPI is defined.
select
    kpi_id,
    name_en,
    name_zh,
    category,
    level,
    kind,
    numerator,
    denominator,
    factor,
    unit,
    direction,
    maturity_days,
    min_base
from {{ source('policy', 'kpis') }}
