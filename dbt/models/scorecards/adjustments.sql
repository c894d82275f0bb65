-- One row per sealed line × item that differs today × month that takes the difference. `make scorecards` on a sealed month
-- (and closing the month that takes them) fills the state; a night only carries it. sealed + all differences = today.
-- depends_on: {{ source('appraisal_state', 'adjustments') }}
{{ config(pre_hook=[
    "create schema if not exists appraisal_state",
    "create table if not exists appraisal_state.adjustments (subject_type varchar, subject_id varchar, sealed_month varchar,"
    ~ " item varchar, sealed decimal(38, 6), today decimal(38, 6), difference decimal(38, 6), into_month varchar, part varchar,"
    ~ " room_id varchar, sealed_value decimal(24, 6), today_value decimal(24, 6), sealed_revision integer,"
    ~ " sealed_manifest varchar, adjusted_on date)",
]) }}
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
