{#- A by-date table forgets the affected business dates before it appends them anew, and a published one notes them. -#}
{% macro forget_affected_dates() -%}
  {%- set affected = ref('int_dates_affected') -%}
  {%- if is_incremental() -%}
    delete from {{ this }} where business_date in (select business_date from {{ affected }});
    {{ note_dates_rebuilt('select business_date from ' ~ affected) }}
  {%- else -%}
    {{ note_dates_rebuilt() }}
  {%- endif -%}
{%- endmacro %}

{#- Publishing reads it (warehouse/parts.py): `dates`, or without them the whole table, is made anew in this transaction. -#}
{% macro note_dates_rebuilt(dates=none) -%}
  {%- set name = this.schema ~ '.' ~ this.identifier -%}
  {%- if this.schema == 'intermediate' -%}
    select 1
  {%- elif dates is none -%}
    insert into builds.dates_rebuilt values ('{{ name }}', null, true)
  {%- else -%}
    insert into builds.dates_rebuilt
    select '{{ name }}', business_date, false from ({{ dates }})
    union all
    select '{{ name }}', null, false
  {%- endif -%}
{%- endmacro %}

{#- Only what has to be rebuilt tonight. -#}
{% macro is_affected(column='business_date') -%}
  {{ column }} in (select business_date from {{ ref('int_dates_affected') }})
{%- endmacro %}
