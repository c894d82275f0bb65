-- One row per sealed line × item that differs today × month that takes the difference. `make scorecards` on a sealed month
-- (and closing the month that takes them) fills the state; a night only carries it. sealed + all differences = today.
-- depends_on: {{ source('appraisal_state', 'adjustments') }}
{{ config(pre_hook="{{ create_adjustment_state() }}") }}
select
    subject_type,
    subject_id,
    sealed_month,
    item,
    sealed,
    today,
    difference,
    into_month,
    part,
    room_id,
    sealed_value,
    today_value,
    sealed_revision,
    sealed_manifest,
    adjusted_on
from {{ source('appraisal_state', 'adjustments') }}
