{#- A whole number of millionths as DECIMAL(38,6), exactly. -#}
{% macro from_micros(expression) -%}
  cast(cast({{ expression }} as decimal(32, 0)) * cast(0.000001 as decimal(6, 6)) as decimal(38, 6))
{%- endmacro %}
