{#- A table as the last run left it, read without a ref because it is rebuilt later in this one. Only where is_incremental(). -#}
{% macro built_before(schema, table) -%}
  {{ schema }}.{{ table }}
{%- endmacro %}

{#- Whether an earlier run left attributed lines behind; what a cluster builds is always whole. -#}
{% macro attributed_before() -%}
  {{ return(execute and target.type != 'spark' and load_relation(api.Relation.create(
    database=target.database, schema='intermediate', identifier='int_orders_attributed')) is not none) }}
{%- endmacro %}
