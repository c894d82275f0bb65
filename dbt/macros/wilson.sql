{#- One bound of the Wilson score interval at 95 % (z = 1.959963984540054), rounded at 6 decimals: side is '-' or '+'.
    Null without trials, and where the successes are not some of the trials. -#}
{% macro wilson(successes, trials, side) -%}
  {%- set z = '1.959963984540054::double' -%}
  {%- set n = '(' ~ trials ~ ')::double' -%}
  {%- set p = '((' ~ successes ~ ')::double / ' ~ n ~ ')' -%}
  case when ({{ trials }}) > 0 and ({{ successes }}) between 0 and ({{ trials }}) then
    cast(round(
      greatest(0, least(1,
        ({{ p }} + {{ z }} * {{ z }} / (2 * {{ n }})
        {{ side }} {{ z }} * sqrt({{ p }} * (1 - {{ p }}) / {{ n }} + {{ z }} * {{ z }} / (4 * {{ n }} * {{ n }})))
        / (1 + {{ z }} * {{ z }} / {{ n }})
      )), 6) as decimal(24, 6))
  end
{%- endmacro %}

{#- A statistic worked in doubles, as it is published. Sums over rows take each row rounded first: decimals add up
    the same in any order, doubles do not. -#}
{% macro stated(expression, decimals=6) -%}
  cast(round({{ expression }}, {{ decimals }}) as decimal({{ 38 if decimals > 6 else 24 }}, {{ decimals }}))
{%- endmacro %}

{#- What interaction is, per minute: messages, follows, shares and gifts. Likes come by the hundred from one thumb. -#}
{% macro interactions(scene) -%}
  ({{ scene }}.chats + {{ scene }}.follows + {{ scene }}.shares + {{ scene }}.gifts)
{%- endmacro %}
