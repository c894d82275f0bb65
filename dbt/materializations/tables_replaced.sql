{#- A table made anew takes the old one's place inside its own transaction. dbt-duckdb's materialization builds it beside,
    renames both and drops the old one, which spares readers a wait; the private warehouse has no reader. -#}
{% materialization table, adapter='duckdb' %}
  {%- set existing = load_cached_relation(this) -%}
  {%- set target_relation = this.incorporate(type='table') -%}

  {%- call built_in_one_transaction(target_relation) -%}
    {%- set create_table = create_table_as(False, target_relation, compiled_code) -%}
    {%- if existing is not none %}
      drop {{ existing.type }} {{ existing }};
    {%- endif %}
    {{ create_table }}
  {%- endcall -%}
  {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{#- Under a contract the columns described are those that are there, which need not be asked for once more. -#}
{% macro duckdb__alter_column_comment(relation, column_dict) %}
  {%- if not config.get('contract').enforced -%}
    {{ return(dbt.duckdb__alter_column_comment(relation, column_dict)) }}
  {%- endif -%}
  {%- for name, column in column_dict.items() %}
    comment on column {{ relation }}.{{ adapter.quote(name) }} is {{ duckdb_escape_comment(column['description']) }};
  {%- endfor %}
{% endmacro %}
