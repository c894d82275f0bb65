{#- A role's KPI mart: one column for each KPI that any stage gives that role a weight for, in registry order.
    The columns follow the policy, so they are read from it when the model is compiled. -#}
{% macro kpi_pivot(role) -%}
  {%- set kpis = [] -%}
  {%- if execute -%}
    {%- set weighted = run_query(
      "select kpis.kpi_id from " ~ source('policy', 'kpis') ~ " as kpis where kpis.kpi_id in (select weights.kpi_id from "
      ~ source('policy', 'weights') ~ " as weights where weights.role = '" ~ role ~ "' and weights.weight > 0) order by kpis.registry_order"
    ) -%}
    {%- set kpis = weighted.columns[0].values() -%}
  {%- endif %}
select
    kpi_month.subject_id,
    kpi_month.month
    {%- for kpi_id in kpis %},
    max(kpi_month.value) filter (where kpi_month.kpi_id = '{{ kpi_id }}') as {{ adapter.quote(kpi_id) }}
    {%- endfor %}
from {{ ref('kpi_month') }} as kpi_month
{% if role == 'room' -%}
where kpi_month.subject_type = 'room'
{%- else -%}
inner join {{ ref('dim_staff') }} as staff
    on kpi_month.subject_id = staff.staff_id and kpi_month.role = staff.role and staff.role = '{{ role }}'
where kpi_month.subject_type = 'staff' and kpi_month.room_id is null
{%- endif %}
group by kpi_month.subject_id, kpi_month.month
{%- endmacro %}

{#- The pivot's columns follow the policy, so their descriptions do too: name and unit from the registry, as database comments
    (on Spark none: what is published is described in DuckDB). -#}
{% macro describe_kpi_columns() -%}
  {{ return(adapter.dispatch('describe_kpi_columns')()) }}
{%- endmacro %}

{% macro spark__describe_kpi_columns() -%}
  select 1
{%- endmacro %}

{% macro default__describe_kpi_columns() -%}
  {%- set registry = ref('kpi_registry') -%}
  {%- if execute -%}
    {%- set kpis = run_query("select kpi_id, name_en || ' (' || name_zh || '), ' || unit from " ~ registry) -%}
    {%- set present = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
    {%- for kpi in kpis.rows if kpi[0] in present %}
      comment on column {{ this }}.{{ adapter.quote(kpi[0]) }} is '{{ kpi[1] | replace("'", "''") }}';
    {%- endfor %}
  {%- endif %}
  select 1
{%- endmacro %}
