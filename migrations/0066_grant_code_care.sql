-- Who may call the functions of replacement, key rotation and the ledger's days: one line per function.
--
-- What: staff replace codes with their own token; the jobs Worker seals anew and watches the ledger. Nobody else gets any of it.

set local role lonieve_owner;

grant execute on function api.replace_code(jsonb) to authenticated;
grant execute on function api.codes_to_reseal(jsonb) to edge_jobs;
grant execute on function api.reseal_codes(jsonb) to edge_jobs;
grant execute on function api.close_ledger_days(jsonb) to edge_jobs;
grant execute on function api.check_ledger(jsonb) to edge_jobs;
