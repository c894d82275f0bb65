-- One row per room × month: the KPIs that any stage gives the role room a weight for, a pivot of kpi_month (null: see its reason).
{{ config(contract={'enforced': false}, post_hook="{{ describe_kpi_columns() }}") }}
{{ kpi_pivot('room') }}
