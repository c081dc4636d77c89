-- Who may call what: one line per function and role.
--
-- What: the whole access policy of the Workers. PUBLIC has nothing (0001), nobody has a table; a role without a line here gets
-- 42501. `anon` has none: the public routes go through Workers, which have roles of their own. Leads, copilot and admin get
-- their functions with their Workers.

set local role lonieve_owner;

grant execute on function api.health() to edge_events;
grant execute on function api.health() to edge_orders;
grant execute on function api.health() to edge_cardlink;
grant execute on function api.health() to edge_leads;
grant execute on function api.health() to edge_copilot;
grant execute on function api.health() to edge_jobs;
grant execute on function api.health() to edge_admin;

grant execute on function api.ingest_events(jsonb) to edge_events;

grant execute on function api.list_products(jsonb) to edge_orders;
grant execute on function api.get_product(jsonb) to edge_orders;
grant execute on function api.create_order(jsonb) to edge_orders;
grant execute on function api.attach_bill(jsonb) to edge_orders;
grant execute on function api.fail_order(jsonb) to edge_orders;
grant execute on function api.get_order(jsonb) to edge_orders;

grant execute on function api.settle_payment(jsonb) to edge_cardlink;
grant execute on function api.settle_payment(jsonb) to edge_jobs;
grant execute on function api.record_rejected_webhook(jsonb) to edge_cardlink;
grant execute on function api.log_webhook_failure(jsonb) to edge_cardlink;

grant execute on function api.claim_outbox(jsonb) to edge_jobs;
grant execute on function api.begin_outbox(jsonb) to edge_jobs;
grant execute on function api.finish_outbox(jsonb) to edge_jobs;
grant execute on function api.expirable_orders(jsonb) to edge_jobs;
grant execute on function api.expire_orders(jsonb) to edge_jobs;
grant execute on function api.fulfil_waiting(jsonb) to edge_jobs;
grant execute on function api.fulfil_waiting(jsonb) to edge_admin;

grant execute on function api.import_codes(jsonb) to authenticated;
