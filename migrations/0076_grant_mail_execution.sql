-- Who may call the functions about mail: one line per function and role.
--
-- What: jobs takes the mail provider's webhook and counts calls that failed verification; signed-in staff see dead letters and replay them
-- (the functions check their role themselves). The ops.forget_* functions are granted to nobody: a job's own function calls them.

set local role lonieve_owner;

grant execute on function api.record_mail_event(jsonb) to edge_jobs;
grant execute on function api.record_rejected_webhook(jsonb) to edge_jobs;
grant execute on function api.staff_outbox(jsonb) to authenticated;
grant execute on function api.replay_outbox(jsonb) to authenticated;
