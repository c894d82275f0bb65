{#- The grain, in one scan: no two rows share these columns (nulls count as a value), and none of them is null but where it may be.
    Returns the keys at fault. -#}
{% test one_row_per(model, columns, nullable=[]) %}
select {{ columns | join(', ') }}
from {{ model }}
group by {{ columns | join(', ') }}
having
    count(*) > 1
    {%- for column in columns if column not in nullable %}
    or {{ column }} is null
    {%- endfor %}
{% endtest %}
