-- Who may call the doors to the reports' rows (0098): one line per function and role.
--
-- What: signed-in people; each function looks up what they are to which shop. The admin Worker calls them with the token of who asks.

set local role lonieve_owner;

grant execute on function api.get_report(jsonb) to authenticated;
grant execute on function api.get_shop_settings(jsonb) to authenticated;
grant execute on function api.get_paid_orders(jsonb) to authenticated;
grant execute on function api.get_fee_rows(jsonb) to authenticated;
grant execute on function api.get_refund_rows(jsonb) to authenticated;
grant execute on function api.get_ad_spend_rows(jsonb) to authenticated;
grant execute on function api.get_cohort_customers(jsonb) to authenticated;
grant execute on function api.get_visits(jsonb) to authenticated;
grant execute on function api.get_funnel_sessions(jsonb) to authenticated;
grant execute on function api.get_event_rows(jsonb) to authenticated;
grant execute on function api.get_data_quality_rows(jsonb) to authenticated;
grant execute on function api.get_realtime(jsonb) to authenticated;
grant execute on function api.get_product_rows(jsonb) to authenticated;
grant execute on function api.get_rfm_summary(jsonb) to authenticated;
grant execute on function api.get_rfm_customers(jsonb) to authenticated;
