{#- A decimal of at most 6 decimals as a whole number of millionths (HUGEINT), exactly. -#}
{% macro to_micros(expression) -%}
  cast(cast({{ expression }} as decimal(38, 6)) * 1000000 as hugeint)
{%- endmacro %}

{#- An amount of at most 2 decimals as a whole number of hundredths (HUGEINT), exactly. -#}
{% macro to_cents(expression) -%}
  cast(cast({{ expression }} as decimal(38, 2)) * 100 as hugeint)
{%- endmacro %}

{#- A whole number of hundredths as DECIMAL(18,2), exactly. -#}
{% macro from_cents(expression) -%}
  cast(cast({{ expression }} as decimal(36, 0)) * cast(0.01 as decimal(2, 2)) as decimal(18, 2))
{%- endmacro %}

{#- A ratio of two HUGEINTs, neither below 0, rounded half up at `decimals`; null where the denominator is null or 0. -#}
{% macro whole_ratio(numerator, denominator, decimals) -%}
  cast(
    cast(
      ({{ numerator }}) * {{ 10 ** decimals }} // nullif({{ denominator }}, 0)
      + case
        when ({{ numerator }}) * {{ 10 ** decimals }} % nullif({{ denominator }}, 0)
          >= ({{ denominator }}) - ({{ numerator }}) * {{ 10 ** decimals }} % nullif({{ denominator }}, 0) then 1
        else 0
      end
    as decimal({{ 38 - decimals }}, 0)) * cast({{ '0.' ~ '0' * (decimals - 1) ~ '1' }} as decimal({{ decimals }}, {{ decimals }}))
  as decimal(24, {{ decimals }}))
{%- endmacro %}

{#- Points of a value against a target: 0 at the floor, 100 at the target, 120 at the stretch, linear between, clamped;
    without a stretch the cap is 100. `sign` is 1 where more is better, -1 where less is. Stored at 6 decimals. -#}
{% macro line_score(value, floor, target, stretch, sign) -%}
  case
    when {{ value }} is null or {{ target }} is null then null
    when {{ sign }} * ({{ value }} - {{ floor }}) <= 0 then 0
    when {{ sign }} * ({{ value }} - {{ target }}) < 0
      then {{ exact_ratio('100 * (' ~ value ~ ' - ' ~ floor ~ ')', target ~ ' - ' ~ floor, 6) }}
    when {{ stretch }} is null then 100
    when {{ sign }} * ({{ value }} - {{ stretch }}) >= 0 then 120
    else 100 + {{ exact_ratio('20 * (' ~ value ~ ' - ' ~ target ~ ')', stretch ~ ' - ' ~ target, 6) }}
  end
{%- endmacro %}
