-- Who may call what the schedule, polling and reconciliation added.
--
-- What: all for jobs but the reading of the jobs, which is the staff's; one grant a line, as in 0034.

set local role lonieve_owner;

grant execute on function api.claim_jobs(jsonb) to edge_jobs;
grant execute on function api.finish_job(jsonb) to edge_jobs;
grant execute on function api.due_bills(jsonb) to edge_jobs;
grant execute on function api.finish_looks(jsonb) to edge_jobs;
grant execute on function api.check_stock(jsonb) to edge_jobs;
grant execute on function api.check_pending_payments(jsonb) to edge_jobs;
grant execute on function api.begin_reconciliation(jsonb) to edge_jobs;
grant execute on function api.continue_reconciliation(jsonb) to edge_jobs;
grant execute on function api.purge(jsonb) to edge_jobs;

grant execute on function api.staff_jobs(jsonb) to authenticated;
