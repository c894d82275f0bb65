{#- The per-session measures in published order, each with its column type. -#}
{% macro session_measures() -%}
  {%- set counts = 'bigint' -%}
  {%- set money = 'decimal(38, 2)' -%}
  {%- set ms = 'decimal(38, 3)' -%}
  {{ return([
    ('views', counts), ('watch_seconds', 'decimal(38, 3)'), ('viewers', counts), ('new_viewers', counts),
    ('live_seconds', 'decimal(38, 3)'), ('peak_online', counts),
    ('chats', counts), ('likes', counts), ('follows', counts), ('unfollows', counts), ('shares', counts),
    ('gifts', counts), ('gift_amount', 'decimal(38, 6)'), ('red_packet_claims', counts), ('votes', counts), ('mic_joins', counts),
    ('commenters', counts), ('engaged_viewers', counts), ('feature_viewers', counts),
    ('exposures', counts), ('clicks', counts), ('carts', counts),
    ('exposed_viewers', counts), ('click_viewers', counts), ('cart_viewers', counts), ('order_viewers', counts), ('buyers', counts),
    ('orders_created', counts), ('orders_paid', counts),
    ('units_sold', counts), ('gmv', money), ('net_gmv', money), ('refunded_amount', money),
    ('new_product_clicks', counts), ('new_product_units', counts), ('explained_seconds', 'decimal(38, 3)'),
    ('net_followers', counts), ('units_returned', counts), ('reviews_received', counts), ('negative_reviews', counts),
    ('complained_orders', counts),
    ('playback_ms', ms), ('stall_ms', ms), ('play_ms', ms), ('rated_play_ms', ms), ('qualified_play_ms', ms),
    ('first_frames', counts), ('first_frame_ms', ms), ('instant_starts', counts),
    ('latency_weighted_ms', 'decimal(38, 6)'), ('latency_play_ms', ms),
  ]) }}
{%- endmacro %}
