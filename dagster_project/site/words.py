"""The words of the review site for codes and columns, (zh, en) each; a code without words stands for itself."""

# Sentences stay whole, and a Chinese character counts as two columns.
# ruff: noqa: E501

from __future__ import annotations

from dagster_project.reports.wording import Words

LEVELS: dict[str, Words] = {
    "R": ("结果指标", "Results"),
    "P": ("过程指标", "Process"),
    "T": ("技术底座", "Technical base"),
}
KINDS: dict[str, Words] = {"lead": ("先行", "Leading"), "lag": ("滞后", "Lagging")}
DIRECTIONS: dict[str, Words] = {
    "up": ("越高越好", "Higher is better"),
    "down": ("越低越好", "Lower is better"),
}
UNITS: dict[str, Words] = {
    "count": ("个数", "Count"),
    "seconds": ("秒", "Seconds"),
    "ms": ("毫秒", "Milliseconds"),
    "money": ("金额", "Money"),
    "rate": ("比率", "Rate"),
}
MODES: dict[str, Words] = {
    "single": ("单人", "Single host"),
    "co_host": ("双人同播", "Co-hosted"),
    "pk": ("PK", "PK"),
    "handoff": ("接力", "Handoff"),
    "multi": ("多种", "Mixed"),
}
SEGMENTS: dict[str, Words] = {
    "explain": ("商品讲解", "Product explained"),
    "talk": ("聊天互动", "Talk"),
    "lottery": ("抽奖", "Lottery"),
    "pk": ("PK", "PK"),
    "co_host": ("连麦同播", "Co-hosting"),
    "handoff": ("换人接力", "Handoff"),
    "vote": ("投票", "Vote"),
    "red_packet": ("红包", "Red packet"),
}
PHASES: dict[str, Words] = {
    "opening": ("开场", "Opening"),
    "middle": ("中场", "Middle"),
    "closing": ("收尾", "Closing"),
}
CUTS: dict[str, Words] = {
    "newcomer": ("新观众与老观众", "New and returning"),
    "tier": ("消费层级（本月之前）", "Spend tier (before this month)"),
    "region": ("地区", "Region"),
    "source": ("流量来源", "Traffic source"),
    "device": ("设备", "Device"),
}
AUDIENCE: dict[str, Words] = {
    "new": ("新观众", "New"),
    "returning": ("老观众", "Returning"),
    "none": ("未消费", "None"),
    "low": ("低", "Low"),
    "mid": ("中", "Mid"),
    "high": ("高", "High"),
    "recommend_feed": ("推荐流", "Recommendation feed"),
    "follow_feed": ("关注流", "Followed accounts"),
    "paid_ads": ("付费投放", "Paid ads"),
    "share_link": ("分享链接", "Share link"),
    "short_video": ("短视频", "Short video"),
    "search": ("搜索", "Search"),
    "unknown": ("未知", "Unknown"),
    "web": ("网页", "Web"),
    "tablet": ("平板", "Tablet"),
    "android": ("安卓", "Android"),
    "ios": ("iOS", "iOS"),
}
PRODUCT_ROLES: dict[str, Words] = {
    "hero": ("爆款", "Hero"),
    "profit": ("利润款", "Profit"),
    "traffic": ("引流款", "Traffic"),
    "clearance": ("清仓款", "Clearance"),
}
PEAKS: dict[str, Words] = {
    "online": ("在线人数", "Viewers online"),
    "engagement": ("互动", "Engagement"),
    "clicks": ("商品点击", "Product clicks"),
    "orders": ("成交订单", "Orders paid"),
}
VERDICTS: dict[str, Words] = {
    "accepted": ("已接收", "Accepted"),
    "rejected": ("已拒收", "Rejected"),
    "duplicate": ("重复文件", "Duplicate file"),
}
# What the rows of an export carry on a session's page.
EXPORTS: dict[str, Words] = {
    "sessions": ("场次的起止与形式", "Start, end and mode of the session"),
    "segments": ("流程单：讲解时长、各环节", "The run sheet: time explained, segments"),
    "shifts": ("在岗人员与归属", "People on duty, and who is credited"),
    "viewer_events": ("观众、在线、观看时长、互动、曝光与点击", "Viewers, online, watch time, engagement, exposures, clicks"),
    "playback_qos": ("流畅度、首帧、延迟、画质", "Smoothness, first frame, latency, picture"),
    "orders": ("下单、成交订单、件数、成交额", "Orders created and paid, units, GMV"),
    "refunds": ("退款与退货", "Refunds and returns"),
    "reviews": ("差评率", "Negative reviews"),
}
# Measures of the registry's numerators and denominators, for the dictionary.
MEASURES: dict[str, Words] = {
    "viewers": ("观看人场次", "viewers, counted per session"),
    "new_viewers": ("新观众人场次", "new viewers, per session"),
    "peak_online": ("同时在线最大值", "highest viewers online at once"),
    "watch_seconds": ("观看总秒数", "seconds watched"),
    "live_seconds": ("直播秒数", "seconds live"),
    "views": ("进入次数", "entries"),
    "chats": ("弹幕条数", "chat messages"),
    "likes": ("点赞总数", "likes"),
    "follows": ("关注次数", "follows"),
    "shares": ("分享次数", "shares"),
    "commenters": ("发过弹幕的人场次", "viewers who chatted, per session"),
    "engaged_viewers": ("有互动的人场次", "viewers who engaged, per session"),
    "feature_viewers": (
        "参与红包、投票或连麦的人场次",
        "viewers in a red packet, vote or co-host, per session",
    ),
    "explained_seconds": ("讲解商品的秒数", "seconds with a product explained"),
    "exposures": ("商品曝光次数", "product exposures"),
    "clicks": ("商品点击次数", "product clicks"),
    "cart_viewers": ("加购人场次", "viewers who added to cart, per session"),
    "click_viewers": ("点击人场次", "viewers who clicked, per session"),
    "order_viewers": ("下单人场次", "viewers who ordered, per session"),
    "orders_created": ("下单数", "orders created"),
    "orders_paid": ("成交订单数", "orders paid"),
    "units_sold": ("成交件数", "units sold"),
    "buyers": ("成交人场次", "buyers, per session"),
    "gmv": ("成交额（退款前）", "GMV before refunds"),
    "net_gmv": ("净成交额（退款后）", "GMV after refunds"),
    "gmv_target": ("GMV 目标", "GMV target"),
    "new_product_units": ("新品成交件数", "units of new products"),
    "new_product_clicks": ("新品点击次数", "clicks on new products"),
    "returned_next_day": ("次日回访人数", "viewers back the next day"),
    "return_base": ("次日有直播的观看人数", "viewers with a session the next day"),
    "repurchased_7d": ("7 日内复购人数", "buyers who bought again within 7 days"),
    "repurchase_base": ("成交人数", "buyers of the day"),
    "net_followers": ("净增关注", "follows less unfollows"),
    "units_returned": ("15 日内退货件数", "units returned within 15 days"),
    "refunded_amount": ("15 日内退款额", "amount refunded within 15 days"),
    "negative_reviews": ("差评数", "reviews of two stars or less"),
    "reviews_received": ("评价数", "reviews"),
    "complained_orders": ("被投诉订单数", "orders complained about"),
    "first_response_seconds": ("首次响应总秒数", "seconds to the first reply"),
    "answered_conversations": ("已回复会话数", "conversations answered"),
    "answered_within_3min": ("3 分钟内回复的会话数", "conversations answered within 3 minutes"),
    "conversations": ("会话数", "conversations"),
    "ai_assisted_replies": ("AI 辅助回复数", "AI-assisted replies"),
    "human_replies": ("人工回复数", "human replies"),
    "play_ms": ("流畅播放毫秒", "ms played"),
    "playback_ms": ("播放与卡顿毫秒", "ms played or stalled"),
    "stall_ms": ("卡顿毫秒", "ms stalled"),
    "first_frame_ms": ("首帧毫秒之和", "ms to the first frame"),
    "first_frames": ("首帧次数", "first frames"),
    "instant_starts": ("1 秒内首帧次数", "first frames within 1 s"),
    "latency_weighted_ms": ("延迟 × 播放毫秒", "latency × ms played"),
    "latency_play_ms": ("有延迟数据的播放毫秒", "ms played with a latency"),
    "qualified_play_ms": ("画质达标的播放毫秒", "ms played in good picture"),
    "rated_play_ms": ("有分辨率数据的播放毫秒", "ms played with a known height"),
}
# Title and question of each insights table.
INSIGHTS: dict[str, tuple[str, str, str, str]] = {
    "session_review": (
        "场次复盘",
        "Session review",
        "这一场强在哪里，弱在哪里，下一场试什么",
        "Where a session was strong or weak, and what to try next",
    ),
    "product_actions": (
        "选品建议",
        "Product actions",
        "哪些商品留、推、调价或下架",
        "Which products to keep, push, re-price or drop",
    ),
    "scene_highlights": (
        "高光与低谷时刻",
        "Highlights and lows",
        "兴趣何时冲高或回落，当时在讲什么",
        "When interest peaked or fell, and what was on",
    ),
    "phase_summary": (
        "开场、中场、收尾",
        "Opening, middle, closing",
        "各阶段的观众、互动与订单",
        "Viewers, engagement and orders by phase",
    ),
    "leading_indicators": (
        "先行指标",
        "What leads what",
        "哪个过程或技术指标先于哪个结果变动（相关，不是因果）",
        "Which process or technical KPI moves before which result (association, not cause)",
    ),
    "watch_time_diagnosis": (
        "观看时长诊断",
        "Watch time diagnosis",
        "人均观看时长变化来自内容、流量还是技术",
        "Whether watch time moved for content, traffic or technology",
    ),
    "quality_by_region": (
        "各地区画质与网络",
        "Quality by region",
        "海外与弱网观众看得顺不顺",
        "Overseas viewers and weak networks",
    ),
    "picture_value": (
        "高清是否值得",
        "Does picture quality pay",
        "按流量结构标准化后，不同画质的观看时长",
        "Watch time by picture tier, over the same traffic mix",
    ),
    "mode_summary": (
        "直播形式对比",
        "Modes compared",
        "单人、双人、PK、接力、多种形式",
        "Single, co-host, PK, handoff, mixed",
    ),
    "explanation_hold": (
        "讲解留人",
        "Explanations that hold viewers",
        "讲解开始三分钟后，还有多少人留下",
        "How many are still there three minutes into a product's explanation",
    ),
    "fair_comparison": (
        "公平对比",
        "Fair comparison",
        "扣除流量与时段差异后的主播表现",
        "A host's figures beside what traffic and hour would give anyone",
    ),
    "mix_shift": (
        "结构还是比率",
        "Mix or rate",
        "比率变化来自结构变化还是自身变化",
        "Whether a rate moved because of mix or of the rate itself",
    ),
    "audience_segments": (
        "人群分层",
        "Audience segments",
        "该唤回谁，该向谁投放",
        "Whom to bring back, whom to advertise to",
    ),
    "feature_lift": (
        "玩法提升",
        "Lift of features",
        "红包、投票、连麦比之前十分钟多带来多少互动",
        "Red packets, votes and co-hosting against the ten minutes before",
    ),
    "mix_parts": ("结构明细", "Mix by part", "“结构还是比率”的各组", "The parts behind mix or rate"),
    "watch_time_cells": (
        "观看时长单元",
        "Watch time cells",
        "诊断所用的各单元",
        "The cells behind the diagnosis",
    ),
    "buyer_rfm": ("买家 RFM", "Buyers, RFM", "最近、频次与金额", "Recency, frequency and money"),
    "alerts": (
        "实时提醒",
        "Alerts",
        "导播本该在何时收到什么提醒",
        "What a director would have been warned of, and when",
    ),
    "gmv_forecast": (
        "成交额预测",
        "GMV forecast",
        "开播 30、60、120 分钟时对全场的预测",
        "A session's final GMV from its first 30, 60 and 120 minutes",
    ),
    "chat_sentiment": (
        "弹幕情绪",
        "Chat sentiment",
        "每分钟、每件商品的观众情绪",
        "The audience's mood by minute and product",
    ),
    "targets_review": (
        "目标体检",
        "Targets review",
        "总是封顶、总是 0 分或毫无差异的目标",
        "Targets that are always capped, always zero or never vary",
    ),
}
# Columns that say the same thing again beside another one, or serve machines.
LEFT_OUT = {
    "alerts": {"alert_id", "segment_id", "base", "observed", "expected"},
    "product_actions": {"room_click_rate", "room_buyer_rate", "room_return_rate", "click_viewers", "gmv_per_explained_minute",
                        "gmv_per_thousand_exposures", "room_net_gmv_per_thousand_exposures", "units_returned", "clicks", "buyers", "gmv"},
    "scene_highlights": {"segment_id", "phase_mad", "phase_minutes", "minute_at", "business_date"},
    "phase_summary": {"level", "likes", "follows", "shares", "gifts", "views", "watch_seconds", "chats"},
    "session_review": {"numerator", "business_date"},
    "leading_indicators": {"label", "is_strongest_lag"},
    "mix_shift": {"month_before", "rate_error", "denominator_before"},
    "watch_time_diagnosis": {"month_before", "viewers_before", "sessions_before"},
    "mode_summary": {"engaged_viewers", "online_at_handoff", "still_online_after"},
}  # fmt: skip
# Tables that stand behind another one; they have a page, and no place on the page of a session.
SUPPORTING = ("mix_parts", "watch_time_cells", "feature_lift", "buyer_rfm")
# Codes that mean something of their own in one column.
CODES_OF = {
    "playback_tier": {"none": ("无播放样本", "No samples")},
    "picture_tier": {"none": ("无播放样本", "No samples")},
}
# Codes that only insights use.
CODES: dict[str, Words] = {
    "engagement_falls": ("互动下滑", "Engagement falls"),
    "online_falls": ("在线下滑", "Viewers online fall"),
    "region_stalls": ("地区卡顿", "A region stalls"),
    "clicked_not_bought": ("点击多、成交少", "Clicked, not bought"),
    "keep": ("保留", "Keep"),
    "push": ("主推", "Push"),
    "re_price": ("调价", "Re-price"),
    "drop": ("下架", "Drop"),
    "figure": ("指标", "Figure"),
    "strong": ("强项", "Strong"),
    "weak": ("弱项", "Weak"),
    "try_next": ("下一场试试", "Try next"),
    "peak": ("冲高", "Peak"),
    "fall": ("回落", "Fall"),
    "technical": ("技术", "Technical"),
    "traffic": ("流量", "Traffic"),
    "content": ("内容", "Content"),
    "undetermined": ("无法判定", "Undetermined"),
    "new_or_returning": ("新老观众", "New or returning"),
    "traffic_source": ("流量来源", "Traffic source"),
    "engaged_viewers": ("互动观众", "Engaged viewers"),
    "click_viewers": ("点击观众", "Viewers who clicked"),
    "buyers": ("买家", "Buyers"),
    "watch_seconds": ("观看秒数", "Seconds watched"),
    "engagement": ("互动", "Engagement"),
    "clicks": ("点击", "Clicks"),
    "orders": ("订单", "Orders"),
    "good": ("流畅", "Good"),
    "stalled": ("卡顿", "Stalled"),
    "slow_start": ("起播慢", "Slow start"),
    "below_720p": ("低于 720p", "Below 720p"),
    "champion": ("核心买家", "Champions"),
    "loyal": ("忠实买家", "Loyal"),
    "recent_buyer": ("新近买家", "Recent buyers"),
    "bring_back": ("待唤回", "Bring back"),
    "lost": ("已流失", "Lost"),
    "cooling": ("正在变冷", "Cooling"),
    "buyer_unscored": ("未评分买家", "Buyers without a score"),
    "potential_high": ("高潜未购", "High potential"),
    "potential": ("有潜力未购", "Potential"),
    "watching": ("只看未购", "Watching"),
    "away": ("久未到访", "Away"),
    "room_month": ("直播间月", "Room, month"),
    "session": ("单场", "Session"),
    "always_capped": ("总是封顶", "Always capped"),
    "always_zero": ("总是 0 分", "Always zero"),
    "no_variance": ("毫无差异", "Never varies"),
    "tells_apart": ("有区分度", "Tells people apart"),
    "mostly_capped": ("多半封顶", "Mostly capped"),
    "mostly_zero": ("多半 0 分", "Mostly zero"),
    "association": ("相关，不是因果", "Association, not cause"),
    "minute": ("分钟", "Minute"),
    "product": ("商品", "Product"),
    "ridge": ("岭回归", "Ridge regression"),
    "last_similar": ("上一场同类", "Last similar session"),
    "share_curve": ("累计进度曲线", "Cumulative share curve"),
}
COLUMNS: dict[str, Words] = {
    name: (zh, en)
    for name, zh, en in (
        line.split("|")
        for line in """
room_id|直播间|Room
session_id|场次|Session
product_id|商品|Product
staff_id|人员|Person
host_id|主播|Host
subject_id|对象|Subject
kpi_id|指标|KPI
business_date|日期|Date
month_before|上月|Month before
traffic_source|流量来源|Traffic source
is_new|新观众|New viewer
part|组|Part
amount|数量|Amount
watch_seconds|观看秒数|Seconds watched
technical_error|技术效应标准误|Technical effect, std. error
traffic_error|流量效应标准误|Traffic effect, std. error
content_error|内容效应标准误|Content effect, std. error
rate_error|比率效应标准误|Rate effect, std. error
role|岗位|Role
mode|形式|Mode
level|范围|Scope
phase|阶段|Phase
region|地区|Region
market|市场|Market
network|网络|Network
minute|分钟|Minute
minute_at|时刻 (UTC)|At (UTC)
start_at|开始 (UTC)|From (UTC)
end_at|结束 (UTC)|Until (UTC)
segment_type|环节|Segment
rule|规则|Rule
subject|对象|Subject
kind|类别|Kind
position|次序|No.
metric|看什么|Metric
measure|看什么|Measure
feature|玩法|Feature
direction|方向|Direction
dimension|维度|Dimension
segment|人群|Segment
picture_tier|画质|Picture
playback_tier|播放档|Playback
verdict|结论|Verdict
action|建议|Action
suggested_action|建议动作|Suggested action
suggestion|建议|Suggestion
reason|原因|Reason
evidence|依据|Evidence
explain_order|讲解次序|Order to explain
top_terms|弹幕热词|Top chat terms
n|样本数|n
sessions|场次数|Sessions
minutes|分钟|Minutes
segments|环节数|Segments
parts|分组数|Parts
parts_up|上升组|Parts up
parts_down|下降组|Parts down
moves_against_every_part|与各组方向相反|Against every part
value|数值|Value
value_before|上月值|Value before
baseline|基线|Baseline
baseline_sessions|基线场次|Sessions before
numerator|分子|Numerator
denominator|分母|Denominator
denominator_before|上月分母|Denominator before
change|变化|Change
mix_effect|结构效应|Mix effect
rate_effect|比率效应|Rate effect
technical_effect|技术效应|Technical effect
traffic_effect|流量效应|Traffic effect
content_effect|内容效应|Content effect
standard_error|标准误|Standard error
average_before|上月人均秒数|Average before, s
average|人均秒数|Average, s
troubled_share|播放受阻占比|Troubled share
troubled_share_before|上月播放受阻占比|Troubled share before
robust_z|稳健 z 值|Robust z
lift|提升倍数|Lift
phase_median|阶段中位数|Phase median
observed|实际|Observed
expected|预期|Expected
expected_interactions|预期互动|Expected interactions
interactions|互动|Interactions
ratio|实际÷预期|Observed ÷ expected
viewers|人场次|Viewers
people|人数|People
engaged_viewers|互动人场次|Engaged viewers
buyers|买家|Buyers
orders_paid|订单|Orders
units_sold|件数|Units
exposures|曝光|Exposures
clicks|点击|Clicks
chats|弹幕|Chats
gmv|成交额|GMV
net_gmv|净成交额|Net GMV
gross_profit|毛利|Gross profit
monetary|累计成交额|Spent in all
net_gmv_per_explained_minute|净成交额/讲解分钟|Net GMV per explained minute
net_gmv_per_thousand_exposures|净成交额/千次曝光|Net GMV per 1000 exposures
click_rate|点击率|Click rate
buyer_rate|点击成交率|Buyers of clickers
return_rate|退货率|Return rate
engagement_rate|互动率|Engagement rate
viewer_conversion_rate|成交转化率|Viewer conversion
orders_per_thousand_viewers|千人订单|Orders per 1000 viewers
average_watch_seconds|人均观看秒数|Average watch, s
standardised_watch_seconds|标准化观看秒数|Standardised watch, s
difference_seconds|相差秒数|Difference, s
average_online|平均在线|Average online
peak_online|峰值在线|Peak online
handoffs|接力次数|Handoffs
handoff_continuity|接力留存|Handoff continuity
left_within_30s|30 秒内离开|Left within 30 s
left_within_30s_rate|30 秒离开率|Left within 30 s, rate
samples|播放样本|Samples
stall_rate|卡顿率|Stall rate
first_frame_ms_samples|首帧样本|First frames
first_frame_ms_p50|首帧中位数 ms|First frame p50, ms
first_frame_ms_p95|首帧 95 分位 ms|First frame p95, ms
latency_ms_samples|延迟样本|Latency samples
latency_ms_p50|延迟中位数 ms|Latency p50, ms
latency_ms_p95|延迟 95 分位 ms|Latency p95, ms
lines|评分行数|Lines
months|月数|Months
platform|平台|Platform
label|名称|Label
total_date|日期|Date
ours|我们|Ours
theirs|平台|Theirs
difference|差|Difference
likely_reason|可能原因|Likely reason
definition|口径|Definition
capped|封顶行数|Capped
at_zero|0 分行数|At zero
capped_share|封顶占比|Capped share
zero_share|0 分占比|Zero share
median_score|中位得分|Median score
score_p10|10 分位|p10
score_p90|90 分位|p90
days_since_purchase|距上次购买天数（中位）|Days since purchase (median)
frequency|复购天数（平均）|Further purchase days (mean)
scale|尺度|Scale
leader|先行指标|Leads
result|结果|Result
lag|晚几步|Lag
points|样本数|n
correlation|秩相关|Spearman
is_significant|显著|Significant
is_strongest_lag|最强的一步|Strongest lag
horizon_minutes|开播分钟|Minutes in
gmv_so_far|当时成交额|GMV so far
forecast|预测|Forecast
actual_gmv|实际|Actual
method|方法|Method
is_naive|用的是朴素预测|Naive used
backtests|回测场次|Back-tests
mape|平均误差|MAPE
mape_last_similar|误差：上一场|MAPE, last similar
mape_share_curve|误差：进度曲线|MAPE, share curve
mape_ridge|误差：岭回归|MAPE, ridge
coverage|区间覆盖|Coverage
messages|弹幕|Messages
pleased|好评|Pleased
displeased|不满|Displeased
positive_share|正面占比|Positive share
mean_score|平均情绪|Mean score
most_pleased|最满意的一条|Most pleased
most_displeased|最不满的一条|Most displeased
p_value|p 值|p
purchase_days|购买天数|Days with a purchase
recency_days|首末次购买间隔天数（中位）|Days from first to last (median)
tenure_days|首购至今天数（中位）|Days since the first (median)
explanations|讲解次数|Explanations
online_at_start|开始时在线|Online at the start
still_online|三分钟后仍在|Still there 3 min later
hold_rate|留人率|Held
others_hold_rate|其他商品留人率|Held by the others
loses_viewers|流失观众|Loses viewers
losing_product_id|流失观众的商品|Product that loses viewers
q_value|q 值|q
""".strip().splitlines()
    )
}
# Sentences that insights carry, in Chinese; one that is not here stands in English.
SENTENCES: dict[str, str] = dict(
    line.split("|", 1)
    for line in """
announce what comes next and bring a red packet or a hero product forward|预告接下来的内容，提前发红包或上爆款
ask a question, draw a prize or move on to the next product|抛一个问题、抽个奖，或换下一个商品
ask for the follow at the peak of the session, and announce the next one|在人气最高时引导关注，并预告下一场
ask one question per product, and put a red packet or a vote where engagement fell|每个商品抛一个问题，在互动下滑处安排红包或投票
check price, stock and page of the product, and explain what keeps people from buying|检查价格、库存和商品页，讲清大家不下单的顾虑
have technical check the CDN of this region and lower its default picture|请技术检查该地区 CDN，并调低默认画质
see quality_by_region for where it stalled, and have technical try another CDN or a lower default picture there|在“各地区画质与网络”中找到卡顿地区，请技术换 CDN 或调低默认画质
announce the session earlier, and compare traffic sources with the last ten sessions in mix_shift|更早预告；在“结构还是比率”中与前十场比较流量来源
rehearse the stream's start and encoder settings before the next session|下一场前演练开播流程与编码设置
see product_actions for what was clicked and not bought, and test its price or its offer|在“选品建议”中找点击多成交少的商品，测试价格或优惠
plan an explain segment for every product shown|为每个上架商品安排讲解环节
explain the products in the order of product_actions, and show the link while explaining|按“选品建议”的次序讲解，并在讲解时挂链接
open with the run sheet and a reason to stay; see watch_time_diagnosis for content or technology|开场先报流程和留下来的理由；用“观看时长诊断”分清内容还是技术
see the minute curve for where it fell, and change one thing there|在分钟曲线上找到下滑处，只改一件事
fewer than the KPI's min_base in the denominator|分母低于该指标的最低基数
fewer than 5 earlier sessions with a value|有数值的前场不足 5 场
the last ten sessions do not differ|前十场没有差别
fewer than 30 viewers|不足 30 人场次
fewer than 30 buyers|不足 30 名买家
fewer than 30 samples or viewers|样本或人场次不足 30
fewer than 30 viewers in this tier or below 720p|该画质或 720p 以下不足 30 人场次
fewer than 100 viewers or 5 sessions, or nothing expected|不足 100 人场次或 5 场，或没有可预期的量
fewer than 200 exposures|曝光不足 200 次
fewer than 200 viewers or 4 sessions in one of the months|某个月不足 200 人场次或 4 场
fewer than 5 segments or 30 expected interactions|不足 5 个环节或 30 次预期互动
fewer than 6 lines with a target|有目标的评分行不足 6 行
no figure differs clearly from the room's|各项与直播间水平没有明显差别
rarely clicked and earns less per exposure than the room|点击少，每次曝光的收益也低于直播间水平
those who click buy more often than in the room, and it earns at least as much per exposure|点击者更常成交，每次曝光收益不低于直播间水平
those who click buy less often than in the room, and it earns less per exposure|点击者较少成交，每次曝光收益低于直播间水平
the tier that the others are held against|其他画质与此档相比
no playback samples|没有播放样本
seconds watched in the minute against the mean of the 15 minutes before|该分钟观看秒数与之前 15 分钟均值相比
seconds stalled of the seconds of playback in 5 minutes, at least three times the region's own share before|5 分钟内卡顿秒数占播放秒数，达该地区之前水平三倍以上
interactions of 3 minutes against what the 15 minutes before would give|3 分钟互动与之前 15 分钟应有的互动相比
the share of returns is half as high again as the room's, by its lower bound|退货率的下限比直播间水平高出一半以上
no part goes beyond 2.58 standard errors and 2 % of the average|没有哪一部分超过 2.58 个标准误和均值的 2%
this part makes up at least 60 % of what moved beyond 2.58 standard errors|超过 2.58 个标准误的变化中，该部分占 60% 以上
fewer than 3 explanations or 30 viewers online at their start|讲解不足 3 次，或开始时在线不足 30 人次
content makes up at least 60 % of what moved, and explanations lost viewers that did not the month before|变化中内容占 60% 以上，且有讲解开始流失观众，上月并不如此
several parts moved, and none makes up 60 % of the movement|几部分都有变化，没有哪部分占到 60%
fewer than 30 (or the KPI's min_base) in the denominator of one of the months|某个月的分母低于 30（或该指标的最低基数）
fewer than 10 earlier forecasts to judge the methods by|可供回测的预测不足 10 次
fewer than 10 messages|弹幕不足 10 条
fewer than 12 points|样本不足 12 个
fewer than 20 earlier sessions that lasted this long, or none of this room|播到这一时长的前场不足 20 场，或没有本直播间的
no message takes a side|没有表明态度的弹幕
no model beats the naive forecast on earlier sessions: the naive one is used|没有模型胜过朴素预测，故用朴素预测
a narrower definition on the platform, or events it filters out|平台口径更窄，或过滤了部分事件
events that did not reach us, or a wider definition on the platform|有事件未送达我们，或平台口径更宽
agree|一致
no employee, or more than one, of that name|没有或不止一位同名员工
no measure of ours counts this|我们没有对应的度量
no session of ours in the room at that time|该直播间当时没有我们的场次
orders attributed to the session by another rule|订单归属规则不同
subsidies, or orders attributed by another rule|补贴，或订单归属规则不同
the exports behind ours were never delivered|我们所需的导出从未送达
the platform cuts to whole minutes|平台只取整分钟
theirs counts refunds until the sheet was made, ours those completed within 15 days|平台计到制表时的退款，我们计 15 日内完成的退款
order lines created against product clicks in 15 minutes|15 分钟内下单行数与商品点击相比
""".strip().splitlines()
)
