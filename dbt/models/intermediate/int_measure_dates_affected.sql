-- One row per business date whose daily measures are counted again; kept until a publish holds them. Touched dates, the dates before
-- them that ask who came back, and dates whose customer service is other than kpi_measure_day has it.
{{ config(materialized='incremental', incremental_strategy='append') }}
-- depends_on: {{ ref('int_service_credited') }}
-- depends_on: {{ ref('int_measures_catalogued') }}
with again as (
    {{ touched_dates() }}
    union
    {{ dates_around_affected(7, 0) }}
    {%- if is_incremental() %}
    union
    select business_date from (
        (
            select subject_type, subject_id, role, room_id, business_date, measure, cast(amount as decimal(38, 6)) as amount
            from {{ ref('int_service_credited') }} where amount <> 0
            except
            select subject_type, subject_id, role, room_id, business_date, measure, amount
            from {{ built_before('kpis', 'kpi_measure_day') }}
        )
        union all
        (
            select days.subject_type, days.subject_id, days.role, days.room_id, days.business_date, days.measure, days.amount
            from {{ built_before('kpis', 'kpi_measure_day') }} as days
            inner join {{ ref('int_measures_catalogued') }} as catalogue
                on days.measure = catalogue.measure and catalogue.family = 'service'
            except
            select subject_type, subject_id, role, room_id, business_date, measure, cast(amount as decimal(38, 6)) as amount
            from {{ ref('int_service_credited') }}
        )
    )
    {%- else %}
    union
    select business_date from {{ ref('int_service_credited') }}
    {%- endif %}
)

select business_date from again
{%- if is_incremental() %}
where business_date not in (select business_date from {{ this }})
{%- endif %}
