"""The registry as kpis.md's table states it, transcribed apart from the policy file.

For tests that need a registry without the policy folder, and to hold the policy file against the page.
"""

from __future__ import annotations

import csv
from pathlib import Path

# kpi_id category level kind numerator denominator unit maturity_days
TABLE = """
viewers traffic P lead viewers - count 0
peak_online traffic P lead peak_online - count 0
average_online traffic P lead watch_seconds live_seconds count 0
average_watch_seconds traffic P lead watch_seconds viewers seconds 0
new_viewer_rate traffic P lead new_viewers viewers rate 0
chats engagement P lead chats - count 0
likes engagement P lead likes - count 0
follows engagement P lead follows - count 0
shares engagement P lead shares - count 0
comment_rate engagement P lead commenters viewers rate 0
engagement_rate engagement P lead engaged_viewers viewers rate 0
feature_rate engagement P lead feature_viewers viewers rate 0
explained_share engagement P lead explained_seconds live_seconds rate 0
product_click_rate conversion P lead clicks exposures rate 0
add_to_cart_rate conversion P lead cart_viewers click_viewers rate 0
order_rate conversion P lag order_viewers click_viewers rate 0
payment_rate conversion P lag orders_paid orders_created rate 0
units_per_click conversion R lag units_sold clicks rate 0
viewer_conversion_rate conversion R lag buyers viewers rate 0
spend_per_buyer conversion R lag gmv buyers money 0
gmv conversion R lag gmv - money 0
orders_paid conversion R lag orders_paid - count 0
gmv_per_thousand_views conversion R lag gmv views money 0
new_product_conversion conversion R lag new_product_units new_product_clicks rate 0
next_day_return_rate retention P lag returned_next_day return_base rate 1
repurchase_rate_7d retention R lag repurchased_7d repurchase_base rate 7
net_followers retention P lag net_followers - count 0
return_rate_15d quality R lag units_returned units_sold rate 15
refund_rate_15d quality R lag refunded_amount gmv rate 15
negative_review_rate quality R lag negative_reviews reviews_received rate 15
complaint_rate quality R lag complained_orders orders_paid rate 15
first_response_seconds quality P lead first_response_seconds answered_conversations seconds 0
response_within_3min_rate quality P lead answered_within_3min conversations rate 0
ai_assisted_reply_rate technical T lead ai_assisted_replies human_replies rate 0
smoothness_rate technical T lead play_ms playback_ms rate 0
stall_rate technical T lead stall_ms playback_ms rate 0
first_frame_ms technical T lead first_frame_ms first_frames ms 0
instant_start_rate technical T lead instant_starts first_frames rate 0
latency_ms technical T lead latency_weighted_ms latency_play_ms ms 0
picture_quality_rate technical T lead qualified_play_ms rated_play_ms rate 0
gmv_target_attainment conversion R lag gmv gmv_target rate 0
"""
DOWN = {"stall_rate", "first_frame_ms", "latency_ms", "first_response_seconds", "return_rate_15d",
        "refund_rate_15d", "negative_review_rate", "complaint_rate"}
MIN_BASE_1 = {"live_seconds", "views", "gmv", "gmv_target", "playback_ms", "latency_play_ms", "rated_play_ms"}


def registry_of_the_page() -> list[dict[str, str]]:
    """One dict per KPI, text values as in kpis.csv (names left out), in the page's order."""
    rows = []
    for line in TABLE.strip().splitlines():
        kpi_id, category, level, kind, numerator, denominator, unit, maturity = line.split()
        denominator = "" if denominator == "-" else denominator
        rows.append({
            "kpi_id": kpi_id, "category": category, "level": level, "kind": kind, "numerator": numerator,
            "denominator": denominator, "factor": "1000" if kpi_id == "gmv_per_thousand_views" else "1",
            "unit": unit, "direction": "down" if kpi_id in DOWN else "up", "maturity_days": maturity,
            "min_base": "" if not denominator else "1" if denominator in MIN_BASE_1 else "30",
        })
    return rows


def read_registry(path: Path) -> list[dict[str, str]]:
    """The rows of a kpis.csv, text as written."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
