{#- A folder's schema is its name: no target prefix, since one warehouse serves one team. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
