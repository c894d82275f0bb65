{#- Whether a product is new on a date: it was launched on it or in the 30 days before. Of an unknown launch it is not. -#}
{% macro is_new_product(launched_on, business_date) -%}
  coalesce(datediff('day', {{ launched_on }}, {{ business_date }}) between 0 and 30, false)
{%- endmacro %}
