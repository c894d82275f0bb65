{#- The calendar date of an instant (UTC) in a room's IANA time zone. -#}
{% macro local_date(instant, timezone) -%}
  cast(timezone({{ timezone }}, timezone('UTC', {{ instant }})) as date)
{%- endmacro %}

{#- Whole milliseconds from one instant to another. -#}
{% macro milliseconds_between(earlier, later) -%}
  (epoch_ms({{ later }}) - epoch_ms({{ earlier }}))
{%- endmacro %}

{#- An event or sample outside its session counts at the nearest instant inside [started_at, ended_at - 1 ms]. -#}
{% macro placed_within(instant, started_at, ended_at) -%}
  greatest({{ started_at }}, least({{ instant }}, {{ ended_at }} - interval 1 millisecond))
{%- endmacro %}
