"""Tables of insights from rows made by hand: every expected figure is worked out here, or by scipy."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from scipy.stats import binomtest

DAY, DAY_BEFORE = date(2026, 10, 5), date(2026, 9, 5)


def product(product_id, session="S1", **counts):
    row = dict.fromkeys(
        ("exposures", "clicks", "carts", "exposed_viewers", "click_viewers", "cart_viewers", "order_viewers", "buyers",
         "orders_created", "orders_paid", "units_sold", "gmv", "units_returned", "explained_seconds"), 0,
    )  # fmt: skip
    return {**row, "session_id": session, "product_id": product_id, "room_id": "R1", "business_date": DAY, **counts}


def test_the_users_product_table_comes_out_with_wilson_bounds_that_scipy_agrees_with(marts):
    marts.put(
        "core.fct_product",
        [
            product("A", exposures=50_000, clicks=5_000, click_viewers=400, buyers=40, units_sold=500),
            product("B", exposures=30_000, clicks=2_100, click_viewers=300, buyers=9, units_sold=105),
        ],
    )
    marts.build("product_actions")
    rows = marts.read(
        "select product_id, click_rate, click_rate_low, click_rate_high, buyer_rate_low, buyer_rate_high "
        "from insights.product_actions order by 1"
    )
    assert [row[1] for row in rows] == [Decimal("0.100000"), Decimal("0.070000")]
    for row, (clicks, exposures, buyers, clickers) in zip(
        rows, [(5_000, 50_000, 40, 400), (2_100, 30_000, 9, 300)], strict=True
    ):
        for (low, high), (part, whole) in ((row[2:4], (clicks, exposures)), (row[4:6], (buyers, clickers))):
            known = binomtest(part, whole).proportion_ci(0.95, method="wilson")
            assert (float(low), float(high)) == pytest.approx((known.low, known.high), abs=6e-7)


def test_a_product_under_200_exposures_has_no_rate_and_no_action_but_a_reason(marts):
    marts.put("core.fct_product", [product("A", exposures=199, clicks=50), product("B", exposures=200, clicks=20)])
    marts.build("product_actions")
    rows = marts.read("select click_rate, action is null, reason from insights.product_actions order by product_id")
    assert rows[0] == (None, True, "fewer than 200 exposures")
    assert rows[1][:2] == (Decimal("0.100000"), False)


def test_yield_is_per_explained_minute_and_per_thousand_exposures(marts):
    marts.put(
        "core.fct_product",
        [product("A", exposures=400, gmv=Decimal("120.00"), units_sold=4, explained_seconds=Decimal("180"))],
    )
    marts.put(
        "core.fct_order_line",
        [
            {"order_line_id": "L", "order_id": "O", "session_id": "S1", "room_id": "R1", "product_id": "A",
             "business_date": DAY, "gmv": Decimal("120.00"), "refunded_amount": Decimal("30.00")}
        ],
    )  # fmt: skip
    marts.build("product_actions")
    assert marts.read(
        "select gmv_per_explained_minute, net_gmv_per_explained_minute, gmv_per_thousand_exposures, "
        "net_gmv_per_thousand_exposures from insights.product_actions"
    ) == [(Decimal(40), Decimal(30), Decimal(300), Decimal(225))]


def cells(day, session, groups):
    """groups: (traffic source, is_new, tier) → (viewers, seconds each)."""
    return [
        {
            "session_id": session, "room_id": "R1", "business_date": day, "month": f"{day:%Y-%m}",
            "traffic_source": source, "is_new": is_new, "playback_tier": tier, "viewers": viewers,
            "watch_seconds": viewers * seconds,
        }
        for (source, is_new, tier), (viewers, seconds) in groups.items()
    ]  # fmt: skip


def put_watching(marts, before, now):
    """Four like sessions in each month."""
    for day, groups in ((DAY_BEFORE, before), (DAY, now)):
        for number in range(4):
            session = f"{day:%m}-{number}"
            rows = cells(day + timedelta(days=number), session, groups)
            marts.put("insights.watch_time_cells", rows)
            marts.put(
                "core.fct_session",
                [
                    {"session_id": session, "room_id": "R1", "business_date": day, "month": f"{day:%Y-%m}",
                     "viewers": sum(row["viewers"] for row in rows),
                     "watch_seconds": sum(row["watch_seconds"] for row in rows)}
                ],
            )  # fmt: skip


def diagnosis(marts):
    marts.build("watch_time_diagnosis")
    return marts.read(
        "select change, technical_effect, traffic_effect, content_effect, verdict "
        "from insights.watch_time_diagnosis where month = '2026-10'"
    )[0]


def test_more_stalled_viewers_are_a_technical_change(marts):
    good, stalled = ("feed", True, "good"), ("feed", True, "stalled")
    put_watching(marts, {good: (90, 300), stalled: (10, 100)}, {good: (60, 300), stalled: (40, 100)})
    # 280 → 220: nothing but thirty in a hundred who watch 200 seconds less.
    assert diagnosis(marts) == (Decimal(-60), Decimal(-60), Decimal(0), Decimal(0), "technical")


def test_more_viewers_from_a_fleeting_source_are_a_traffic_change(marts):
    feed, ads = ("feed", True, "good"), ("ads", True, "good")
    put_watching(marts, {feed: (80, 400), ads: (20, 100)}, {feed: (50, 400), ads: (50, 100)})
    assert diagnosis(marts) == (Decimal(-90), Decimal(0), Decimal(-90), Decimal(0), "traffic")


def test_shorter_visits_in_every_cell_are_a_content_change(marts):
    feed, ads = ("feed", True, "good"), ("ads", False, "none")
    put_watching(marts, {feed: (50, 400), ads: (50, 200)}, {feed: (50, 300), ads: (50, 100)})
    assert diagnosis(marts) == (Decimal(-100), Decimal(0), Decimal(0), Decimal(-100), "content")


def test_the_parts_add_up_to_the_change_exactly_and_agree_with_fractions(marts):
    before = {
        ("feed", True, "good"): (53, 311), ("feed", True, "stalled"): (7, 97), ("feed", False, "good"): (31, 501),
        ("ads", True, "good"): (11, 71), ("ads", True, "none"): (3, 89),
    }  # fmt: skip
    now = {
        ("feed", True, "good"): (41, 307), ("feed", True, "stalled"): (13, 83), ("feed", False, "good"): (29, 523),
        ("ads", True, "good"): (37, 67), ("ads", True, "slow_start"): (5, 61), ("search", True, "good"): (2, 211),
    }  # fmt: skip
    put_watching(marts, before, now)
    change, technical, traffic, content, _ = diagnosis(marts)
    assert change == technical + traffic + content

    def shares(groups):
        total = sum(viewers for viewers, _ in groups.values())
        streams = {}
        for (source, is_new, _), (viewers, _) in groups.items():
            streams[source, is_new] = streams.get((source, is_new), 0) + viewers
        p = {stream: Fraction(viewers, total) for stream, viewers in streams.items()}
        q = {cell: Fraction(viewers, streams[cell[:2]]) for cell, (viewers, _) in groups.items()}
        return p, q, {cell: Fraction(seconds) for cell, (_, seconds) in groups.items()}

    (p0, q0, w0), (p1, q1, w1) = shares(before), shares(now)
    expected = {"traffic": Fraction(0), "technical": Fraction(0), "content": Fraction(0)}
    for cell in before.keys() | now.keys():
        stream = cell[:2]
        a, b = p0.get(stream, Fraction(0)), p1.get(stream, Fraction(0))
        # An empty cell takes the other month's mean, a stream that is not there the other month's make-up.
        w_a, w_b = w0.get(cell, w1.get(cell)), w1.get(cell, w0.get(cell))
        q_a = q0.get(cell, Fraction(0)) if stream in p0 else q1[cell]
        q_b = q1.get(cell, Fraction(0)) if stream in p1 else q0[cell]
        expected["traffic"] += (b - a) * (q_a * w_a + q_b * w_b) / 2
        expected["technical"] += (a + b) / 2 * (q_b - q_a) * (w_a + w_b) / 2
        expected["content"] += (a + b) / 2 * (q_a + q_b) / 2 * (w_b - w_a)
    for found, name in ((traffic, "traffic"), (technical, "technical"), (content, "content")):
        assert float(found) == pytest.approx(float(expected[name]), abs=2e-6)


def explained(product_id, month, number, online, still):
    """That many explanations of a product in a month, each with so many viewers online at its start and still there."""
    return [
        {"segment_id": f"{product_id}{month}{each}", "session_id": "S1", "product_id": product_id, "room_id": "R1",
         "business_date": date(2026, month, 5), "online_at_start": online, "still_online": still}
        for each in range(number)
    ]  # fmt: skip


def test_a_product_whose_explanations_lose_viewers_stands_out_of_the_rooms_others(marts):
    marts.put(
        "intermediate.int_explanations_followed",
        [*explained("A", 10, 4, 50, 25), *explained("B", 10, 4, 50, 40), *explained("C", 10, 2, 50, 40)],
    )
    marts.build("explanation_hold")
    rows = marts.read(
        "select product_id, hold_rate, others_hold_rate, loses_viewers, reason, hold_rate_high "
        "from insights.explanation_hold order by 1"
    )
    # A: 100 of 200 stay, of the others (160 + 80) of 300; even the upper bound is over ten points below.
    assert rows[0][:5] == ("A", Decimal("0.5"), Decimal("0.8"), True, None)
    assert float(rows[0][5]) == pytest.approx(binomtest(100, 200).proportion_ci(0.95, method="wilson").high, abs=6e-7)
    assert rows[1][:5] == ("B", Decimal("0.8"), Decimal("0.6"), False, None)
    assert rows[2][:5] == ("C", None, None, None, "fewer than 3 explanations or 30 viewers online at their start")


@pytest.mark.parametrize("is_seen", [False, True])
def test_a_loss_that_could_be_chance_is_content_only_where_explanations_were_seen_to_lose_viewers(marts, is_seen):
    # Sessions of 100 viewers; 300 → 280 on average. Per month (100 × 20 / 400)² × 2 × 4 / 3 = 66.7: an error of 11.5,
    # so 20 seconds are 1.7 errors.
    for day, means in ((DAY_BEFORE, (300, 320, 280, 300)), (DAY, (280, 300, 260, 280))):
        for number, seconds in enumerate(means):
            rows = cells(day, f"{day:%m}-{number}", {("feed", True, "good"): (100, seconds)})
            marts.put("insights.watch_time_cells", rows)
            session = {"session_id": f"{day:%m}-{number}", "room_id": "R1", "business_date": day, "month": f"{day:%Y-%m}"}
            marts.put("core.fct_session", [{**session, "viewers": 100, "watch_seconds": 100 * seconds}])
    now = 25 if is_seen else 40
    marts.put(
        "intermediate.int_explanations_followed",
        [*explained("A", 9, 4, 50, 40), *explained("B", 9, 4, 50, 40), *explained("A", 10, 4, 50, now),
         *explained("B", 10, 4, 50, 40)],
    )  # fmt: skip
    marts.build("explanation_hold", "watch_time_diagnosis")
    found = marts.read(
        "select change, content_effect, round(content_error, 3), losing_product_id, verdict "
        "from insights.watch_time_diagnosis where month = '2026-10'"
    )
    assert found == [
        (Decimal(-20), Decimal(-20), Decimal("11.547"), *(("A", "content") if is_seen else (None, "undetermined")))
    ]


def test_under_200_viewers_nothing_is_said_of_watch_time(marts):
    cell = ("feed", True, "good")
    put_watching(marts, {cell: (40, 300)}, {cell: (60, 100)})
    assert diagnosis(marts) == (None, None, None, None, None)


def parts(month, sums):
    """sums: part → (clicks, exposures)."""
    return [
        {"room_id": "R1", "month": month, "dimension": "new_or_returning", "part": part, "measure": measure, "amount": amount}
        for part, (clicks, exposures) in sums.items()
        for measure, amount in (("clicks", clicks), ("exposures", exposures))
    ]  # fmt: skip


def mix(marts, before, now):
    marts.put("insights.mix_parts", [*parts("2026-09", before), *parts("2026-10", now)])
    marts.build("mix_shift")
    return marts.read(
        "select change, mix_effect, rate_effect, moves_against_every_part from insights.mix_shift "
        "where month = '2026-10' and kpi_id = 'product_click_rate' and dimension = 'new_or_returning'"
    )


def test_a_simpson_pair_is_flagged_and_its_effects_add_up(marts):
    # New viewers 5 % → 6 %, returning 20 % → 22 %, but new viewers grow from a fifth to four fifths: 17 % → 9.2 %.
    found = mix(
        marts,
        {"new": (1000, 20_000), "returning": (16_000, 80_000)},
        {"new": (4800, 80_000), "returning": (4400, 20_000)},
    )
    # mix: 0.6 × (5.5 % − 21 %); rate: a half × (1 % + 2 %).
    assert found == [(Decimal("-0.078"), Decimal("-0.093"), Decimal("0.015"), True)]


def test_a_change_of_rates_alone_is_no_mix_and_no_simpson_pair(marts):
    found = mix(
        marts,
        {"new": (1000, 20_000), "returning": (16_000, 80_000)},
        {"new": (1200, 20_000), "returning": (17_600, 80_000)},
    )
    assert found == [(Decimal("0.018"), Decimal(0), Decimal("0.018"), False)]


def line(number, viewer, paid_at, gmv="10.00", order=None):
    return {
        "order_line_id": f"L{number}", "order_id": order or f"O{number}", "viewer_key": viewer, "room_id": "R1",
        "product_id": "P", "business_date": DAY, "paid_at": paid_at, "paid_amount": None if paid_at is None else gmv,
        "gmv": gmv if paid_at else 0, "refunded_amount": 0,
    }  # fmt: skip


def test_recency_frequency_and_tenure_are_those_of_the_customer_lifetime_literature(marts):
    marts.put(
        "core.fct_session",
        [{"session_id": "S", "room_id": "R1", "business_date": date(2026, 10, 31), "month": "2026-10"}],
    )
    marts.put(
        "core.fct_order_line",
        [
            # Three purchase days in Shanghai: 1, 11 and 21 October; two lines on the first day count once.
            line(1, "a", datetime(2026, 10, 1, 3)), line(2, "a", datetime(2026, 10, 1, 5), "5.00"),
            line(3, "a", datetime(2026, 10, 11, 3)),
            # 17:00 UTC is 1:00 of the next day in Shanghai.
            line(4, "a", datetime(2026, 10, 20, 17)),
            line(5, "b", datetime(2026, 10, 30, 3), "99.00"),
            line(6, "c", None),
            # Paid after the last business date with a session: not yet observed.
            line(7, "d", datetime(2026, 11, 2, 3)),
        ],
    )  # fmt: skip
    marts.build("buyer_rfm")
    assert marts.read(
        "select viewer_key, first_paid_date, last_paid_date, purchase_days, frequency, recency_days, tenure_days, monetary "
        "from insights.buyer_rfm order by 1"
    ) == [
        ("a", date(2026, 10, 1), date(2026, 10, 21), 3, 2, 20, 30, Decimal("35.00")),
        ("b", date(2026, 10, 30), date(2026, 10, 30), 1, 0, 0, 1, Decimal("99.00")),
    ]


def scene(minute, **counts):
    at = datetime(2026, 10, 5, 12)
    row = dict.fromkeys(
        ("peak_online", "watch_seconds", "views", "chats", "likes", "follows", "shares", "gifts", "exposures", "clicks",
         "carts", "orders_paid", "units_sold", "gmv", "play_ms", "stall_ms"), 0,
    )  # fmt: skip
    return {
        **row, "session_id": "S1", "minute": minute, "minute_at": at + timedelta(minutes=minute), "room_id": "R1",
        "business_date": DAY, "phase": "opening" if minute < 30 else "middle", **counts,
    }  # fmt: skip


def put_session(marts, minutes, known_minutes=None):
    at = datetime(2026, 10, 5, 12)
    marts.put(
        "core.fct_session",
        [
            {"session_id": "S1", "room_id": "R1", "business_date": DAY, "month": "2026-10", "started_at": at,
             "ended_at": at + timedelta(minutes=minutes)}
        ],
    )  # fmt: skip
    marts.put(
        "intermediate.int_session_watermarks_noted",
        [
            {"session_id": "S1", "business_date": DAY,
             "known_until": at + timedelta(minutes=minutes if known_minutes is None else known_minutes)}
        ],
    )  # fmt: skip


def test_a_minute_that_stands_out_of_its_phase_is_a_highlight_with_its_robust_z(marts):
    put_session(marts, 30)
    counts = [8, 10, 12] * 9 + [8, 40, 12]
    marts.put("core.fct_scene", [scene(minute, chats=count) for minute, count in enumerate(counts)])
    marts.build("scene_highlights", dates=[DAY])
    # Median 10, absolute deviations 0, 2 and one 30: MAD 2; 0.6745 × 30 / 2.
    assert marts.read("select minute, metric, direction, value, phase_median, phase_mad, robust_z, lift "
                      "from insights.scene_highlights") == [
        (28, "engagement", "peak", 40, Decimal(10), Decimal(2), Decimal("10.117500"), Decimal(4))
    ]  # fmt: skip


def alerts(marts):
    marts.build("alerts", dates=[DAY])
    return marts.read("select rule, subject, minute, observed, base from insights.alerts order by minute")


def test_engagement_that_falls_below_half_of_its_own_quarter_of_an_hour_is_told(marts):
    put_session(marts, 60)
    marts.put("core.fct_scene", [scene(minute, chats=20 if minute < 30 else 2) for minute in range(60)])
    # Minute 31: 20 + 2 + 2 of three minutes against 15 × 20 before them; 24 is less than a tenth of 300.
    assert alerts(marts) == [("engagement_falls", None, 31, 24, 300)]


def test_minutes_that_no_event_vouches_for_yet_alert_nobody(marts):
    put_session(marts, 60, known_minutes=30)
    marts.put("core.fct_scene", [scene(minute, chats=20 if minute < 30 else 0) for minute in range(60)])
    assert alerts(marts) == []


def test_a_region_that_stalls_against_its_own_share_is_told_and_its_neighbour_is_not(marts):
    put_session(marts, 60)
    marts.put("core.fct_scene", [scene(minute) for minute in range(60)])
    marts.put(
        "intermediate.int_region_minutes_summed",
        [
            {"session_id": "S1", "room_id": "R1", "business_date": DAY, "minute": minute, "region": region, "network": "4g",
             "samples": 2, "play_ms": 120_000 - stall, "stall_ms": stall}
            for minute in range(50)
            for region, stall in (("Penang", 40_000 if minute >= 30 else 1_000), ("Johor", 1_000))
        ],
    )  # fmt: skip
    # Minute 31: 2 × 40 + 3 × 1 of 600 seconds stand still, more than a tenth.
    assert alerts(marts) == [("region_stalls", "Penang", 31, 83, 600)]


def test_a_product_that_is_clicked_and_not_bought_is_told(marts):
    put_session(marts, 60)
    marts.put("core.fct_scene", [scene(minute) for minute in range(60)])
    marts.put(
        "intermediate.int_product_minutes_counted",
        [
            {"session_id": "S1", "room_id": "R1", "business_date": DAY, "minute": minute, "product_id": "good",
             "clicks": 4, "lines_created": 2}
            for minute in range(30)
        ]
        + [
            {"session_id": "S1", "room_id": "R1", "business_date": DAY, "minute": minute, "product_id": "dead",
             "clicks": 4, "lines_created": 0}
            for minute in range(30, 36)
        ],
    )  # fmt: skip
    # Minute 34: 20 clicks of the dead one, where 60 of 140 clicks were lines so far.
    assert alerts(marts) == [("clicked_not_bought", "dead", 34, 0, 20)]
