{#- none ≤ 0 < low < spend_tier_low ≤ mid < spend_tier_high ≤ high, on money spent in the reporting currency. -#}
{% macro spend_tier(gmv, low, high) -%}
  case
    when {{ gmv }} <= 0 then 'none'
    when {{ gmv }} < {{ low }} then 'low'
    when {{ gmv }} < {{ high }} then 'mid'
    else 'high'
  end
{%- endmacro %}
