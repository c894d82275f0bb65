{#- A view is replaced in one statement. dbt's own materialization makes it beside, renames both and drops the old one: five
    statements, each with a context of every macro that there is. -#}
{% materialization view, adapter='duckdb' %}
  {%- set existing = load_cached_relation(this) -%}
  {%- set target_relation = this.incorporate(type='view') -%}

  {%- call built_in_one_transaction(target_relation) -%}
    {%- if existing is not none and not existing.is_view %}
      drop {{ existing.type }} {{ existing }};
    {%- endif %}
    create or replace view {{ target_relation }} as (
      {{ compiled_code }}
    );
  {%- endcall -%}
  {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
