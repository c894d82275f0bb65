{#- The state that the adjustments are read from, empty until a sealed month has one. On Spark it is a landed table like any other. -#}
{% macro create_adjustment_state() -%}
  {{ return(adapter.dispatch('create_adjustment_state')()) }}
{%- endmacro %}

{% macro spark__create_adjustment_state() -%}
  select 1
{%- endmacro %}

{% macro default__create_adjustment_state() -%}
  create schema if not exists appraisal_state;
  create table if not exists appraisal_state.adjustments (
    subject_type varchar, subject_id varchar, sealed_month varchar, item varchar, sealed decimal(38, 6), today decimal(38, 6),
    difference decimal(38, 6), into_month varchar, part varchar, room_id varchar, sealed_value decimal(24, 6),
    today_value decimal(24, 6), sealed_revision integer, sealed_manifest varchar, adjusted_on date
  )
{%- endmacro %}
