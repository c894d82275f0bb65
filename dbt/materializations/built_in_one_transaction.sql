{#- What every materialization here does with its statement, which is the block it is called with: hooks, comments and the statement
    in one transaction. A failed one leaves what was there. -#}
{% macro built_in_one_transaction(target_relation) %}
  {%- set statement_of_model = caller -%}
  {{ run_hooks(pre_hooks, inside_transaction=False) }}
  {{ run_hooks(pre_hooks, inside_transaction=True) }}

  {% call statement('main') -%}
    {{ statement_of_model() }}
  {%- endcall %}

  {{ run_hooks(post_hooks, inside_transaction=True) }}
  {% do persist_docs(target_relation, model) %}
  {{ adapter.commit() }}
  {{ run_hooks(post_hooks, inside_transaction=False) }}
{% endmacro %}
