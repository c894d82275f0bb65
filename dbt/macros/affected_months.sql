{#- A by-month table forgets the months of the affected business dates before it appends them anew. -#}
{% macro forget_affected_months() -%}
  {%- set affected = ref('int_dates_affected') -%}
  {%- if is_incremental() -%}
    delete from {{ this }} where month in (select strftime(business_date, '%Y-%m') from {{ affected }})
  {%- else -%}
    select 1
  {%- endif -%}
{%- endmacro %}

{#- Only months with a date to be rebuilt tonight. -#}
{% macro is_in_affected_month(column='business_date') -%}
  strftime({{ column }}, '%Y-%m') in (select strftime(business_date, '%Y-%m') from {{ ref('int_dates_affected') }})
{%- endmacro %}
