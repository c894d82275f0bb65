{#- The funnel's rates from its own counts, 6 decimals; null where the denominator is 0. -#}
{% macro funnel_rates(counts) -%}
    {{ exact_ratio(counts ~ '.clicks', counts ~ '.exposures', 6) }} as click_rate,
    {{ exact_ratio(counts ~ '.cart_viewers', counts ~ '.click_viewers', 6) }} as cart_rate,
    {{ exact_ratio(counts ~ '.order_viewers', counts ~ '.click_viewers', 6) }} as order_rate,
    {{ exact_ratio(counts ~ '.orders_paid', counts ~ '.orders_created', 6) }} as payment_rate,
    {{ exact_ratio(counts ~ '.units_sold', counts ~ '.clicks', 6) }} as units_per_click
{%- endmacro %}
