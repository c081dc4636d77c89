-- Who may call the reports of 0080 to 0086.
--
-- What: staff with their own token (each function asks for the role viewer itself), and the jobs Worker for the refresh. PUBLIC can call none
-- (LD-77: customers' addresses were open to whoever could reach the data API). One grant a line, as in 0034.

set local role lonieve_owner;

grant execute on function api.get_funnel_stats(timestamptz, timestamptz) to authenticated;
grant execute on function api.get_behavior_stats(timestamptz, timestamptz) to authenticated;
grant execute on function api.get_ltv_by_cohort(integer) to authenticated;
grant execute on function api.get_rfm_segments() to authenticated;
grant execute on function api.get_abandoned_checkouts(integer) to authenticated;
grant execute on function api.get_winback_candidates(integer, integer) to authenticated;
grant execute on function api.get_daily_metrics(timestamptz, timestamptz) to authenticated;
grant execute on function api.detect_anomalies() to authenticated;
grant execute on function api.get_system_health() to authenticated;
grant execute on function api.get_data_quality(timestamptz, timestamptz) to authenticated;

grant execute on function api.refresh_daily_metrics(jsonb) to edge_jobs;
