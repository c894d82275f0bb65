{#- The grain: no two rows share these columns (nulls count as a value). Returns the keys that occur more than once. -#}
{% test one_row_per(model, columns) %}
select {{ columns | join(', ') }}
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
