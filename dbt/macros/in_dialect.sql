{#- A model's SQL for the engine that builds it. Models are written for DuckDB; on Spark it is the same SQL, translated
    (dagster_project/spark/dialect.py, which dbt's launcher hands to the adapter). -#}
{% macro in_dialect(sql) -%}
  {{ return(adapter.dispatch('in_dialect')(sql)) }}
{%- endmacro %}

{#- On DuckDB the model as written; after a cluster has built it, its rows there, in the types the model has here. -#}
{% macro default__in_dialect(sql) -%}
  {%- set built_by_cluster = env_var('CLUSTER_RESULT', '') -%}
  {{ return(rows_from_cluster(built_by_cluster, sql) if built_by_cluster else sql) }}
{%- endmacro %}

{% macro spark__in_dialect(sql) -%}
  {{ return(adapter.to_spark(sql)) }}
{%- endmacro %}

{% macro duckdb__create_table_as(temporary, relation, compiled_code, language='sql', partitioned_by=none, sorted_by=none) -%}
  {{ return(dbt.duckdb__create_table_as(temporary, relation, in_dialect(compiled_code), language, partitioned_by, sorted_by)) }}
{%- endmacro %}

{% macro spark__create_table_as(temporary, relation, compiled_code, language='sql') -%}
  {{ return(dbt.spark__create_table_as(temporary, relation, in_dialect(compiled_code), language)) }}
{%- endmacro %}

{% macro spark__create_view_as(relation, sql) -%}
  {{ return(dbt.spark__create_view_as(relation, in_dialect(sql))) }}
{%- endmacro %}

{#- The cluster's Parquet of this model under the model's own column names and types. A type that would lose decimal places on
    the way stops the build: then the two engines do not compute the same. -#}
{% macro rows_from_cluster(folder, sql) -%}
  {%- set files = "read_parquet('" ~ folder | replace("'", "''") ~ "/" ~ model.schema ~ ".db/" ~ model.name ~ "/*.parquet')" -%}
  {%- set built = {} -%}
  {%- for column in run_query('describe from ' ~ files).rows -%}
    {%- do built.update({column[0]: column[1]}) -%}
  {%- endfor -%}
  {%- set columns = [] -%}
  {%- for column in run_query('describe ' ~ sql).rows -%}
    {%- set there = built.get(column[0], 'nothing') -%}
    {%- if there == 'nothing' or places(there) > places(column[1]) -%}
      {%- do exceptions.raise_compiler_error(
        model.name ~ '.' ~ column[0] ~ ' is ' ~ column[1] ~ ' here and ' ~ there ~ ' on the cluster: the models have drifted apart') -%}
    {%- endif -%}
    {%- do columns.append('cast(' ~ adapter.quote(column[0]) ~ ' as ' ~ column[1] ~ ') as ' ~ adapter.quote(column[0])) -%}
  {%- endfor -%}
  {{ return('select ' ~ columns | join(', ') ~ ' from ' ~ files) }}
{%- endmacro %}

{#- Decimal places that a DuckDB type can hold; a double has more than any decimal. -#}
{% macro places(type) -%}
  {%- if type.startswith('DECIMAL') -%}
    {{ return(type.split(',')[1].strip(' )') | int) }}
  {%- endif -%}
  {{ return(39 if type in ('DOUBLE', 'FLOAT') else 0) }}
{%- endmacro %}
