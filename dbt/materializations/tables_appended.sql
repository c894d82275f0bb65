{#- What a night adds to a by-date table goes into it in one statement. dbt-duckdb's materialization writes it to a temporary table
    first and asks four times for columns. Ours only append: what is made anew, a pre-hook deletes in the same transaction. -#}
{% materialization incremental, adapter='duckdb' %}
  {%- set existing = load_cached_relation(this) -%}
  {%- if existing is none or not existing.is_table or should_full_refresh() -%}
    {{ return(context['materialization_table_duckdb']()) }}
  {%- endif -%}
  {%- set target_relation = this.incorporate(type='table') -%}

  {%- call built_in_one_transaction(target_relation) -%}
    {%- if config.get('contract').enforced -%}
      {%- do get_assert_columns_equivalent(compiled_code) -%}
    {%- endif -%}
    {%- set rows = in_dialect(compiled_code) -%}
    {%- do assert_columns_stand(target_relation, rows) -%}
    insert into {{ target_relation }} by name (
      {{ rows }}
    )
  {%- endcall -%}
  {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{#- As on_schema_change: fail. By name, a column that is no more would silently stay empty. -#}
{% macro assert_columns_stand(relation, rows) %}
  {%- set there, made = {}, {} -%}
  {%- for columns, described in ((there, relation), (made, rows)) -%}
    {%- for column in run_query('describe ' ~ described).rows -%}
      {%- do columns.update({column[0]: column[1]}) -%}
    {%- endfor -%}
  {%- endfor -%}
  {%- if there != made -%}
    {%- do exceptions.raise_compiler_error(
      'the columns of ' ~ relation ~ ' are no longer those of its model (there: ' ~ there ~ ', now: ' ~ made ~
      '); build it whole with --full-refresh') -%}
  {%- endif -%}
{% endmacro %}
