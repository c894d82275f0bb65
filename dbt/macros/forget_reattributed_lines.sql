{#- Lines to attribute again, and lines that are no longer there, leave the table before they are appended anew. -#}
{% macro forget_reattributed_lines() -%}
  {%- if is_incremental() -%}
    delete from {{ this }}
    where
      order_line_id in (select order_line_id from {{ ref('int_lines_reattributed') }})
      or order_line_id not in (select order_line_id from {{ ref('stg_orders') }})
  {%- else -%}
    select 1
  {%- endif -%}
{%- endmacro %}
