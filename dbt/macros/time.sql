{#- The calendar date of an instant (UTC) in a room's IANA time zone. -#}
{% macro local_date(instant, timezone) -%}
  cast(timezone({{ timezone }}, timezone('UTC', {{ instant }})) as date)
{%- endmacro %}

{#- Whole milliseconds from one instant to another. Instants have none but whole ones, and are kept as microseconds: epoch_ms
    would divide each of the two. -#}
{% macro milliseconds_between(earlier, later) -%}
  ((epoch_us({{ later }}) - epoch_us({{ earlier }})) // 1000)
{%- endmacro %}

{#- Whole minutes from one instant to another, the minute of a session that begins with the earlier. -#}
{% macro minutes_between(earlier, later) -%}
  ((epoch_us({{ later }}) - epoch_us({{ earlier }})) // 60000000)
{%- endmacro %}

{#- An event or sample outside its session counts at the nearest instant inside [started_at, ended_at - 1 ms]. -#}
{% macro placed_within(instant, started_at, ended_at) -%}
  greatest({{ started_at }}, least({{ instant }}, {{ ended_at }} - interval 1 millisecond))
{%- endmacro %}
