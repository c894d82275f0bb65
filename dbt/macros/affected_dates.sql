{#- A by-date table forgets the affected business dates before it appends them anew. -#}
{% macro forget_affected_dates() -%}
  {%- set affected = ref('int_dates_affected') -%}
  {%- if is_incremental() -%}
    delete from {{ this }} where business_date in (select business_date from {{ affected }})
  {%- else -%}
    select 1
  {%- endif -%}
{%- endmacro %}

{#- Only what has to be rebuilt tonight. -#}
{% macro is_affected(column='business_date') -%}
  {{ column }} in (select business_date from {{ ref('int_dates_affected') }})
{%- endmacro %}
