{#- Three extents of rebuilding a date (int_dates_affected, int_dates_followed_up):
    affected: anything it is made of; followed up: only refunds, reviews and complaints of its order lines; touched: either. -#}

{#- A by-date table forgets the affected business dates before it appends them anew, and a published one notes them. -#}
{% macro forget_affected_dates() -%}
  {{ forget_dates('select business_date from ' ~ ref('int_dates_affected')) }}
{%- endmacro %}

{#- The same for a table that says anything of refunds, reviews or complaints. -#}
{% macro forget_touched_dates() -%}
  {{ forget_dates(touched_dates()) }}
{%- endmacro %}

{#- A table of measures keeps, on dates that are only followed up, what is not counted from order lines. -#}
{% macro forget_touched_measures() -%}
  {%- set affected, followed_up = ref('int_dates_affected'), ref('int_dates_followed_up') -%}
  {%- set catalogue = ref('int_measures_catalogued') -%}
  {%- if is_incremental() -%}
    delete from {{ this }}
    where
      business_date in (select business_date from {{ affected }})
      or (
        business_date in (select business_date from {{ followed_up }})
        and measure in (select measure from {{ catalogue }} where exports[1] = 'orders' and family <> 'follow_up')
      )
  {%- else -%}
    select 1
  {%- endif -%}
{%- endmacro %}

{% macro forget_dates(dates) -%}
  {%- if is_incremental() -%}
    delete from {{ this }} where business_date in ({{ dates }});
    {{ note_dates_rebuilt(dates) }}
  {%- else -%}
    {{ note_dates_rebuilt() }}
  {%- endif -%}
{%- endmacro %}

{#- Publishing reads it (warehouse/parts.py): `dates`, or without them the whole table, is made anew in this transaction. -#}
{% macro note_dates_rebuilt(dates=none) -%}
  {{ return(adapter.dispatch('note_dates_rebuilt')(dates)) }}
{%- endmacro %}

{#- What a cluster builds is noted when DuckDB takes it up. -#}
{% macro spark__note_dates_rebuilt(dates) -%}
  select 1
{%- endmacro %}

{% macro default__note_dates_rebuilt(dates) -%}
  {%- set name = this.schema ~ '.' ~ this.identifier -%}
  {%- if this.schema == 'intermediate' -%}
    select 1
  {%- elif dates is none -%}
    insert into builds.dates_rebuilt values ('{{ name }}', null, true)
  {%- else -%}
    insert into builds.dates_rebuilt
    select '{{ name }}', business_date, false from ({{ dates }})
    union all
    select '{{ name }}', null, false
  {%- endif -%}
{%- endmacro %}

{#- Only what has to be rebuilt tonight. -#}
{% macro is_affected(column='business_date') -%}
  {{ column }} in (select business_date from {{ ref('int_dates_affected') }})
{%- endmacro %}

{#- What is counted from order lines has to be rebuilt on these as well. -#}
{% macro is_touched(column='business_date') -%}
  {{ column }} in ({{ touched_dates() }})
{%- endmacro %}

{% macro touched_dates() -%}
  select business_date from {{ ref('int_dates_affected') }} union select business_date from {{ ref('int_dates_followed_up') }}
{%- endmacro %}

{#- Dates from so many days before an affected one to so many after it. -#}
{% macro dates_around_affected(before, after) -%}
  select affected.business_date + cast(days.n as integer) from {{ ref('int_dates_affected') }} as affected
  cross join unnest(range({{ -before }}, {{ after + 1 }})) as days (n)
{%- endmacro %}

{#- Returns ask of the next day, repurchases of the seven after. -#}
{% macro forget_followed_dates() -%}
  {%- set returns, repurchases = dates_around_affected(1, 0), dates_around_affected(7, 0) -%}
  {%- if is_incremental() -%}
    delete from {{ this }}
    where
      (measure in ('return_base', 'returned_next_day') and business_date in ({{ returns }}))
      or (measure in ('repurchase_base', 'repurchased_7d') and business_date in ({{ repurchases }}))
  {%- else -%}
    select 1
  {%- endif -%}
{%- endmacro %}

{#- kpi_measure_day is counted again on these. -#}
{% macro forget_measure_dates() -%}
  {{ forget_dates('select business_date from ' ~ ref('int_measure_dates_affected')) }}
{%- endmacro %}

{% macro is_measured_again(column='business_date') -%}
  {{ column }} in (select business_date from {{ ref('int_measure_dates_affected') }})
{%- endmacro %}
