{#- numerator / denominator, rounded half away from zero at `decimals`, worked in whole numbers (a decimal division would be a
    DOUBLE). Takes amounts of at most 6 decimals; null where the denominator is null or 0. -#}
{% macro exact_ratio(numerator, denominator, decimals) -%}
  {%- set n = 'cast(' ~ numerator ~ ' as decimal(38, 6)) * 1000000' -%}
  {%- set d = 'cast(' ~ denominator ~ ' as decimal(38, 6)) * 1000000' -%}
  cast(
    cast(
      case when ({{ numerator }}) * sign({{ denominator }}) < 0 then -1 else 1 end
      * ((2 * abs(cast({{ n }} as hugeint)) * {{ 10 ** decimals }} + abs(cast({{ d }} as hugeint)))
      // nullif(2 * abs(cast({{ d }} as hugeint)), 0))
    as decimal({{ 38 - decimals }}, 0)) * cast({{ '0.' ~ '0' * (decimals - 1) ~ '1' if decimals else '1' }} as decimal({{ [decimals, 1] | max }}, {{ decimals }}))
  as decimal(24, {{ decimals }}))
{%- endmacro %}
